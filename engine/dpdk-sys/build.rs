//! Binds to the DPDK that pkg-config finds.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// What is called; types come with them.
const FUNCTIONS: &[&str] = &[
    "rte_dev_dma_map",
    "rte_dev_dma_unmap",
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_eal_init",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_info_get",
    "rte_eth_dev_is_removed",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_link_get_nowait",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_enable",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_queue_setup",
    "rte_eth_xstats_get",
    "rte_eth_xstats_get_names",
    "rte_extmem_register",
    "rte_extmem_unregister",
    "rte_mempool_create_empty",
    "rte_mempool_free",
    "rte_mempool_populate_iova",
    "rte_mempool_register_ops",
    "rte_mempool_set_ops_byname",
    "rte_openlog_stream",
    "rte_pktmbuf_pool_init",
    "rte_strerror",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_version",
    "swath_.*",
];

fn main() {
    println!("cargo::rerun-if-changed=wrapper.h");
    println!("cargo::rerun-if-changed=shims.c");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    let flags = pkg_config("--cflags");
    let mut shims = cc::Build::new();
    shims.file("shims.c");
    // As they are: some have arguments of their own (`-include rte_config.h`), and all must be what DPDK was built with.
    for flag in &flags {
        shims.flag(flag);
    }
    shims.compile("swath_dpdk_shims");
    println!("cargo::rustc-link-lib=dylib=rte_ethdev");
    for library in ["rte_mbuf", "rte_mempool", "rte_eal"] {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
    for flag in pkg_config("--libs-only-L") {
        println!("cargo::rustc-link-search=native={}", flag.trim_start_matches("-L"));
    }
    let mut bindings = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(&flags)
        .allowlist_var("SWATH_.*|RTE_PKTMBUF_HEADROOM|RTE_MEMPOOL_F_.*|RTE_MEMPOOL_CACHE_MAX_SIZE|RTE_MAX_ETHPORTS")
        .allowlist_type("rte_pktmbuf_pool_private")
        .opaque_type("rte_mbuf")
        // Those of C headers are no documentation in Markdown.
        .generate_comments(false)
        .derive_default(true)
        .layout_tests(true)
        .rust_target("1.85".parse().unwrap_or_default());
    for function in FUNCTIONS {
        bindings = bindings.allowlist_function(function);
    }
    let bindings = match bindings.generate() {
        Ok(bindings) => bindings,
        Err(error) => fail(&format!("bindgen: {error}\nIt needs libclang: apt install clang libclang-dev")),
    };
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("bindings.rs");
    if let Err(error) = fs::write(&out, bindings.to_string()) {
        fail(&format!("{}: {error}", out.display()));
    }
}

fn pkg_config(what: &str) -> Vec<String> {
    let output = Command::new("pkg-config").args([what, "libdpdk"]).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
        }
        Ok(output) => fail(&format!("{}\nDPDK is not here: apt install libdpdk-dev", String::from_utf8_lossy(&output.stderr))),
        Err(error) => fail(&format!("pkg-config: {error}\napt install pkg-config libdpdk-dev")),
    }
}

fn fail(what: &str) -> ! {
    println!("cargo::error={}", what.replace('\n', " "));
    std::process::exit(1)
}
