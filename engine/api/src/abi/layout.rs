//! What may cross the border of a library, checked by the compiler: a type that is not [`Abi`] cannot be in one of the structures.
//!
//! Each structure is declared once, with [`abi!`]. Its layout hash, its text in the C header and its line in the list of what must not
//! change all come of that declaration.

use std::ffi::c_void;

/// A type whose layout C knows: numbers, pointers, functions, and structures of these. There is no `bool` and no `enum` among them, of
/// which a library could leave a value that is none.
pub trait Abi {
    /// Differs for types that differ in anything that matters: size, order, names and types of what is in them.
    const HASH: u64;

    /// The declaration of something of this type, in C.
    fn declare(name: &str) -> String;
}

/// A structure that may have grown since.
pub trait Base {
    /// Bytes that it had at first: who knows it has as many.
    const BASE: usize;
}

/// A structure, for the C header.
pub struct Definition {
    pub name: &'static str,
    pub doc: String,
    pub fields: Vec<Field>,
    pub size: usize,
}

/// One of its fields.
pub struct Field {
    pub name: &'static str,
    pub doc: String,
    pub declaration: String,
    pub offset: usize,
}

/// FNV-1a, 64 bits.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The hash of a text.
pub const fn of(text: &str) -> u64 {
    mix_text(OFFSET, text)
}

/// A hash with a text more.
pub const fn mix_text(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    // So that two texts are not the same as both in one.
    mix(hash, bytes.len() as u64)
}

/// A hash with a number more.
pub const fn mix(mut hash: u64, number: u64) -> u64 {
    let bytes = number.to_le_bytes();
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

macro_rules! plain {
    ($($rust:ty = $c:literal)+) => {$(
        impl Abi for $rust {
            const HASH: u64 = mix(of($c), size_of::<$rust>() as u64);

            fn declare(name: &str) -> String {
                format!(concat!($c, " {}"), name)
            }
        }
    )+};
}
plain! {
    u8 = "uint8_t"
    u16 = "uint16_t"
    u32 = "uint32_t"
    u64 = "uint64_t"
    i32 = "int32_t"
    usize = "size_t"
}

impl Abi for c_void {
    const HASH: u64 = of("void");

    fn declare(name: &str) -> String {
        format!("void {name}")
    }
}

impl Abi for () {
    const HASH: u64 = of("void");

    fn declare(name: &str) -> String {
        format!("void {name}")
    }
}

impl<T: Abi> Abi for *mut T {
    const HASH: u64 = mix(of("*"), T::HASH);

    fn declare(name: &str) -> String {
        T::declare(&format!("*{name}"))
    }
}

impl<T: Abi> Abi for *const T {
    const HASH: u64 = mix(of("const *"), T::HASH);

    fn declare(name: &str) -> String {
        T::declare(&format!("const *{name}"))
    }
}

impl<T: Abi, const N: usize> Abi for [T; N] {
    const HASH: u64 = mix(mix(of("[]"), N as u64), T::HASH);

    fn declare(name: &str) -> String {
        T::declare(&format!("{name}[{N}]"))
    }
}

macro_rules! functions {
    ($(($($argument:ident)*))+) => {$(
        impl<R: Abi, $($argument: Abi),*> Abi for unsafe extern "C" fn($($argument),*) -> R {
            const HASH: u64 = {
                let hash = mix(of("function"), R::HASH);
                $(let hash = mix(hash, $argument::HASH);)*
                hash
            };

            fn declare(name: &str) -> String {
                let arguments: &[String] = &[$($argument::declare("").trim_end().to_owned()),*];
                let arguments = if arguments.is_empty() { "void".to_owned() } else { arguments.join(", ") };
                R::declare(&format!("(*{name})({arguments})"))
            }
        }

        // A function that may be missing: null.
        impl<R: Abi, $($argument: Abi),*> Abi for Option<unsafe extern "C" fn($($argument),*) -> R> {
            const HASH: u64 = <unsafe extern "C" fn($($argument),*) -> R as Abi>::HASH;

            fn declare(name: &str) -> String {
                <unsafe extern "C" fn($($argument),*) -> R as Abi>::declare(name)
            }
        }
    )+};
}
functions! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

/// Declares structures that cross the border. What stands behind `+` was added when libraries were about already: it is no part of the
/// hash, and whoever reads it looks first whether the structure's `size` covers it.
macro_rules! abi {
    ($(
        $(#[doc = $about:literal])*
        $(#[derive($($derive:path),+)])?
        $visibility:vis struct $name:ident as $c:literal {
            $($(#[doc = $doc:literal])* $field_visibility:vis $field:ident: $type:ty,)+
        } $(+ { $($(#[doc = $later_doc:literal])* $later_visibility:vis $later:ident: $later_type:ty,)+ })?
    )+) => {$(
        $(#[doc = $about])*
        $(#[derive($($derive),+)])?
        #[repr(C)]
        $visibility struct $name {
            $($(#[doc = $doc])* $field_visibility $field: $type,)+
            $($($(#[doc = $later_doc])* $later_visibility $later: $later_type,)+)?
        }
        $crate::abi::layout::known! { $name as $c { $($(#[doc = $doc])* $field: $type,)+ } $(+ { $($(#[doc = $later_doc])* $later: $later_type,)+ })?
            $(#[doc = $about])* }
    )+};
}

/// What [`abi!`] says of a structure, for one that is declared elsewhere.
macro_rules! known {
    ($name:ident as $c:literal {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty,)+
    } $(+ { $($(#[doc = $later_doc:literal])* $later:ident: $later_type:ty,)+ })? $(#[doc = $about:literal])*) => {
        impl $crate::abi::layout::Abi for $name {
            const HASH: u64 = {
                use $crate::abi::layout::{Abi, mix, mix_text, of};
                let hash = mix(of($c), align_of::<$name>() as u64);
                $(
                    let hash = mix_text(hash, stringify!($field));
                    let hash = mix(mix(hash, <$type as Abi>::HASH), std::mem::offset_of!($name, $field) as u64);
                )+
                hash
            };

            fn declare(name: &str) -> String {
                format!(concat!("struct ", $c, " {}"), name)
            }
        }

        impl $crate::abi::layout::Base for $name {
            const BASE: usize = {
                let mut end = 0;
                $(
                    let after = std::mem::offset_of!($name, $field) + size_of::<$type>();
                    if after > end {
                        end = after;
                    }
                )+
                end
            };
        }

        impl $name {
            /// For the C header.
            pub(crate) fn definition() -> $crate::abi::layout::Definition {
                use $crate::abi::layout::{Abi, Definition, Field};
                let field = |name: &'static str, doc: &str, declaration, offset| Field { name, doc: doc.into(), declaration, offset };
                Definition {
                    name: $c,
                    doc: concat!($($about, "\n"),*).into(),
                    fields: vec![
                        $(field(
                            stringify!($field), concat!($($doc, "\n"),*),
                            <$type as Abi>::declare(stringify!($field)), std::mem::offset_of!($name, $field),
                        ),)+
                        $($(field(
                            stringify!($later), concat!($($later_doc, "\n"),*),
                            <$later_type as Abi>::declare(stringify!($later)), std::mem::offset_of!($name, $later),
                        ),)+)?
                    ],
                    size: size_of::<$name>(),
                }
            }
        }
    };
}
pub(crate) use {abi, known};

#[cfg(test)]
#[allow(dead_code)]
mod tests {
    use super::*;

    mod first {
        abi! {
            /// One.
            pub struct One as "one" {
                /// Its length.
                pub size: u32,
                /// Something.
                pub flags: u32,
                pub call: Option<unsafe extern "C" fn(*const Plain, usize) -> i32>,
            }
            /// Within.
            pub struct Plain as "plain" {
                pub a: u16,
                pub b: u16,
            }
        }
    }

    /// The same structures, with a change in one of them.
    macro_rules! changed {
        ($module:ident { $($one:tt)* } { $($plain:tt)* } $($later:tt)*) => {
            mod $module {
                abi! {
                    /// One.
                    pub struct One as "one" { $($one)* } $($later)*
                    /// Within.
                    pub struct Plain as "plain" { $($plain)* }
                }
            }
        };
    }
    changed! { renamed { pub size: u32, pub words: u32, pub call: Option<unsafe extern "C" fn(*const Plain, usize) -> i32>, }
    { pub a: u16, pub b: u16, } }
    changed! { retyped { pub size: u32, pub flags: i32, pub call: Option<unsafe extern "C" fn(*const Plain, usize) -> i32>, }
    { pub a: u16, pub b: u16, } }
    changed! { longer { pub size: u32, pub flags: u32, pub call: Option<unsafe extern "C" fn(*const Plain, usize) -> i32>, }
    { pub a: u16, pub b: u16, pub c: u16, } }
    changed! { swapped { pub size: u32, pub flags: u32, pub call: Option<unsafe extern "C" fn(*const Plain, usize) -> i32>, }
    { pub b: u16, pub a: u16, } }
    changed! { called { pub size: u32, pub flags: u32, pub call: Option<unsafe extern "C" fn(*const Plain, u64) -> i32>, }
    { pub a: u16, pub b: u16, } }
    changed! { mutable { pub size: u32, pub flags: u32, pub call: Option<unsafe extern "C" fn(*mut Plain, usize) -> i32>, }
    { pub a: u16, pub b: u16, } }
    changed! { grown { pub size: u32, pub flags: u32, pub call: Option<unsafe extern "C" fn(*const Plain, usize) -> i32>, }
    { pub a: u16, pub b: u16, } + { pub more: u64, pub most: u64, } }

    #[test]
    fn the_hash_changes_with_whatever_changes_and_not_with_what_is_added_at_the_end() {
        let first = first::One::HASH;
        let others =
            [renamed::One::HASH, retyped::One::HASH, longer::One::HASH, swapped::One::HASH, called::One::HASH, mutable::One::HASH];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(first, *other, "{at}");
            assert!(!others[..at].contains(other), "{at}");
        }
        assert_eq!(first, grown::One::HASH);
        assert_eq!((size_of::<first::One>(), size_of::<grown::One>()), (16, 32));
        assert_eq!([first::One::BASE, grown::One::BASE], [16, 16]);
    }

    #[test]
    fn types_are_declared_as_c_does() {
        assert_eq!(<*const u8>::declare("first"), "uint8_t const *first");
        assert_eq!(<*const *mut c_void>::declare("all"), "void *const *all");
        assert_eq!(<[u64; 2]>::declare("id"), "uint64_t id[2]");
        let call = <Option<unsafe extern "C" fn(*const c_void, *mut u8) -> i32>>::declare("call");
        assert_eq!(call, "int32_t (*call)(void const *, uint8_t *)");
        assert_eq!(<unsafe extern "C" fn() -> first::Plain>::declare("make"), "struct plain (*make)(void)");
        assert_eq!(<unsafe extern "C" fn(u32)>::declare("end"), "void (*end)(uint32_t)");
    }
}
