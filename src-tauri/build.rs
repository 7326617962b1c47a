fn main() {
    // The page may call these commands and no others; capabilities/studio.json grants them to the studio's own window.
    const COMMANDS: &[&str] = &["subscribe", "request", "choose_open", "choose_save", "save_bytes"];
    let attributes = tauri_build::Attributes::new().app_manifest(tauri_build::AppManifest::new().commands(COMMANDS));
    if let Err(error) = tauri_build::try_build(attributes) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}
