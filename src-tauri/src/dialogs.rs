//! The system's own dialogs for files.

use tauri::AppHandle;
use tauri::ipc::{InvokeBody, Request};
use tauri_plugin_dialog::{DialogExt, FilePath};
use tokio::sync::oneshot;

/// Asks for a pipeline to open. None if the user changed their mind.
#[tauri::command]
pub async fn choose_open(app: AppHandle) -> Option<String> {
    let (sender, chosen) = oneshot::channel();
    app.dialog().file().set_title("Open a pipeline").add_filter("Pipelines", &["toml"]).pick_file(|path| drop(sender.send(path)));
    path_of(chosen.await.ok().flatten())
}

/// Asks where to save, with a name to begin with.
#[tauri::command]
pub async fn choose_save(app: AppHandle, name: String) -> Option<String> {
    let (sender, chosen) = oneshot::channel();
    app.dialog()
        .file()
        .set_title("Save the pipeline as")
        .set_file_name(name)
        .add_filter("Pipelines", &["toml"])
        .save_file(|path| drop(sender.send(path)));
    path_of(chosen.await.ok().flatten())
}

/// Saves a picture or a table where the user says. False if they changed their mind.
#[tauri::command]
pub async fn save_bytes(app: AppHandle, request: Request<'_>) -> Result<bool, String> {
    let InvokeBody::Raw(bytes) = request.body() else { return Err("raw bytes belong here".to_owned()) };
    let name = request.headers().get("name").and_then(|name| name.to_str().ok()).map(decoded).unwrap_or_default();
    let (sender, chosen) = oneshot::channel();
    app.dialog().file().set_file_name(name).save_file(|path| drop(sender.send(path)));
    let Some(path) = path_of(chosen.await.ok().flatten()) else { return Ok(false) };
    std::fs::write(&path, bytes).map_err(|error| format!("{path} cannot be written: {error}"))?;
    Ok(true)
}

fn path_of(chosen: Option<FilePath>) -> Option<String> {
    chosen?.into_path().ok().map(|path| path.display().to_string())
}

/// Undoes JavaScript's `encodeURIComponent`; what is no escape stays as it is. A name has no folders in it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).replace(['/', '\\', '\0'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_decoded_and_names_no_folder() {
        assert_eq!(decoded("mean%20delay%20%C3%A4.csv"), "mean delay ä.csv");
        assert_eq!(decoded("..%2Fx%"), ".._x%");
    }
}
