//! The object that is kept beside its source is what the source makes, and what it says of single frames.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

use swath_api::wire::MacAddr;

use super::capture::Capture;
use super::program::Loaded;
use super::socket::unbound;

/// The compiler that has made it: another one makes other bytes of the same program.
const COMPILER: &str = "clang version 14.0";

#[test]
fn the_object_is_what_its_source_makes() {
    let version =
        Command::new("clang").arg("--version").output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|version| version.contains(COMPILER)) {
        let what = format!("it needs {COMPILER}, llvm-strip and libbpf-dev");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what}");
        println!("not run: {what}");
        return;
    }
    let place = tempfile::TempDir::new().unwrap();
    let made = place.path().join("capture.bpf.o");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drivers/af_xdp/ebpf");
    let output = Command::new(source.join("build")).arg(&made).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let same = std::fs::read(&made).unwrap() == std::fs::read(source.join("capture.bpf.o")).unwrap();
    assert!(same, "run engine/io/src/drivers/af_xdp/ebpf/build");
}

/// Of `enum xdp_action` in linux/bpf.h.
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// The program of a capture, and a socket behind it. `None` without root.
fn program(capture: &str) -> Option<(Loaded, OwnedFd)> {
    if !rustix::process::geteuid().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "it needs root");
        println!("not run: it needs root");
        return None;
    }
    let capture: Capture = serde_json::from_str(capture).unwrap();
    let mut program = Loaded::new(&capture, MacAddr::from([2, 0, 0, 0, 0, 1])).unwrap();
    // The map has it as long as it is open.
    let socket = unbound().unwrap();
    program.give(0, &socket).unwrap();
    Some((program, socket))
}

/// An IPv6 packet of the headers and the payload given (RFC 8200 §3), the first header being `next`.
fn ip6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend((rest.len() as u16).to_be_bytes());
    frame.extend([next, 64]);
    frame.extend(
        [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa], [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]
            .concat(),
    );
    frame.extend(rest);
    frame
}

/// A fragment header (RFC 8200 §4.5), the offset in units of eight bytes.
fn fragment(next: u8, offset: u16, more: bool) -> [u8; 8] {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    [next, 0, high, low, 0, 0, 0, 7]
}

const HOPS: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;

/// An extension header of eight bytes, options or for routing, before `next`: PadN (RFC 8200 §4.2), which says no segments left besides.
fn extension(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

/// What is behind the fragment header of a fragment beyond the first is payload, whatever it looks like; and if that header names another
/// one, nothing says of which protocol it is.
#[test]
fn fragments_of_ip6_are_judged_by_their_headers_alone() {
    let ssh = [&22u16.to_be_bytes()[..], &40000u16.to_be_bytes(), &[0; 16]].concat();
    let web = [&80u16.to_be_bytes()[..], &40000u16.to_be_bytes(), &[0; 16]].concat();
    // Payload that looks like an extension header before UDP, and before TCP with a port that is not SSH's.
    let like_udp = [&extension(UDP)[..], &web].concat();
    let like_tcp = [&extension(TCP)[..], &web].concat();
    let to_kernel: &[(u8, Vec<u8>)] = &[
        (TCP, ssh.clone()),
        (OPTIONS, [&extension(TCP)[..], &ssh].concat()),
        (FRAGMENT, [&fragment(TCP, 0, true)[..], &ssh].concat()),
        (FRAGMENT, [&fragment(OPTIONS, 0, true)[..], &extension(TCP), &ssh].concat()),
        (FRAGMENT, [&fragment(TCP, 1, true)[..], &web].concat()),
        (FRAGMENT, [&fragment(OPTIONS, 1, true)[..], &like_udp].concat()),
        (FRAGMENT, [&fragment(OPTIONS, 0x1fff, false)[..], &like_tcp].concat()),
        (FRAGMENT, [&fragment(HOPS, 185, false)[..], &like_udp].concat()),
        (FRAGMENT, [&fragment(ROUTING, 185, true)[..], &like_udp].concat()),
        (FRAGMENT, [&fragment(FRAGMENT, 1, true)[..], &fragment(UDP, 0, false), &web].concat()),
        (HOPS, [&extension(FRAGMENT)[..], &fragment(OPTIONS, 1, false), &like_udp].concat()),
    ];
    let to_us: &[(u8, Vec<u8>)] = &[
        (TCP, web.clone()),
        (UDP, ssh.clone()),
        (OPTIONS, [&extension(TCP)[..], &web].concat()),
        (FRAGMENT, [&fragment(TCP, 0, true)[..], &web].concat()),
        (FRAGMENT, [&fragment(OPTIONS, 0, true)[..], &like_udp].concat()),
        (FRAGMENT, [&fragment(UDP, 1, true)[..], &ssh].concat()),
    ];
    let Some((program, _socket)) = program(r#""all-but-ssh""#) else { return };
    for (packets, verdict) in [(to_kernel, XDP_PASS), (to_us, XDP_REDIRECT)] {
        for (next, rest) in packets {
            assert_eq!(program.verdict(&ip6(*next, rest)), verdict, "{next} {rest:?}");
        }
    }
    // Of a protocol alone, fragments beyond the first that name it are taken, and none whose payload does.
    let Some((program, _socket)) = self::program(r#"{"protocols": ["udp", "60"]}"#) else { return };
    for (next, rest, verdict) in [
        (FRAGMENT, [&fragment(UDP, 1, true)[..], &ssh].concat(), XDP_REDIRECT),
        (FRAGMENT, [&fragment(OPTIONS, 0, true)[..], &like_udp].concat(), XDP_REDIRECT),
        (FRAGMENT, [&fragment(OPTIONS, 1, true)[..], &like_udp].concat(), XDP_PASS),
        (FRAGMENT, [&fragment(TCP, 1, true)[..], &like_udp].concat(), XDP_PASS),
    ] {
        assert_eq!(program.verdict(&ip6(next, &rest)), verdict, "{next} {rest:?}");
    }
}

/// The verifier sees another program for each capture, the longest one where there is most to ask.
#[test]
fn the_verifier_takes_whatever_a_capture_asks_for() {
    let ranges = |protocol: &str| (1..=16).map(|at| format!(r#""{protocol}/{at}-{}""#, at + 100)).collect::<Vec<_>>().join(", ");
    let conditions = [
        r#""own-mac": true"#.to_owned(),
        r#""destinations": ["::/0", "0.0.0.0/0"]"#.to_owned(),
        format!(r#""protocols": [{}]"#, ranges("udp")),
        format!(r#""except": [{}]"#, ranges("tcp")),
    ];
    for chosen in 0..1 << conditions.len() {
        let all = conditions.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, condition)| condition.as_str());
        let capture = format!("{{{}}}", all.collect::<Vec<_>>().join(", "));
        let Some((program, _socket)) = program(&capture) else { return };
        // UDP to port 50, for this station.
        let udp = [&40000u16.to_be_bytes()[..], &50u16.to_be_bytes(), &[0; 16]].concat();
        assert_eq!(program.verdict(&ip6(UDP, &udp)), XDP_REDIRECT, "{capture}");
        // TCP from port 16: nobody's if UDP is wanted, or this.
        let tcp = [&16u16.to_be_bytes()[..], &40000u16.to_be_bytes(), &[0; 16]].concat();
        let expected = if chosen & 0b1100 == 0 { XDP_REDIRECT } else { XDP_PASS };
        assert_eq!(program.verdict(&ip6(TCP, &tcp)), expected, "{capture}");
    }
}
