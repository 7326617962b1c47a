//! The screens are compiled against these types: a change here that is not in the generated file would only be found by a user.

use std::path::Path;

#[test]
fn the_generated_typescript_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/src/generated/api.ts");
    let expected = millrace_studio_api::typescript::module();
    if std::env::var_os("MILLRACE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "ui/src/generated/api.ts is not up to date: run MILLRACE_BLESS=1 cargo test -p millrace-studio-api");
}
