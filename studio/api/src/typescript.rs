//! The types as TypeScript.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};

use ts_rs::{Config, TS, TypeVisitor};

use crate::message::{API_VERSION, ClientMessage, ServerMessage};
use crate::rows::RowsFrame;

const HEAD: &str = "\
// Made from studio/api by its test `the_generated_typescript_is_up_to_date`. Do not edit: change the Rust types, then run
// MILLRACE_BLESS=1 cargo test -p millrace-studio-api
";

/// The module `ui/src/generated/api.ts`.
pub fn module() -> String {
    let config = Config::new().with_large_int("number");
    let mut collector = Collector { config: &config, seen: BTreeSet::new(), declarations: BTreeMap::new() };
    collector.visit::<ClientMessage>();
    collector.visit::<ServerMessage>();
    collector.visit::<RowsFrame>();
    let mut text = HEAD.to_owned();
    text.push_str(&format!("\nexport const API_VERSION = {API_VERSION};\n"));
    text.push_str(&format!("export const FRAME_WINDOW = {};\n", crate::frame::WINDOW));
    text.push_str(&format!("export const SUBPROTOCOL = \"{}\";\n", crate::SUBPROTOCOL));
    text.push_str(&format!("export const TOKEN_SUBPROTOCOL = \"{}\";\n", crate::TOKEN_SUBPROTOCOL));
    for declaration in collector.declarations.values() {
        text.push('\n');
        text.push_str(declaration);
    }
    text
}

struct Collector<'a> {
    config: &'a Config,
    seen: BTreeSet<TypeId>,
    /// By name.
    declarations: BTreeMap<String, String>,
}

impl TypeVisitor for Collector<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        // Only our own types have a file to be exported to; the others (String, Vec) are written in place.
        if T::output_path().is_some() {
            let docs = T::docs().unwrap_or_default();
            let declaration = format!("{}export {}\n", docs, T::decl(self.config));
            self.declarations.insert(T::ident(self.config), declaration);
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}
