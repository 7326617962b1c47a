//! A folder keeps what every store promises.

mod contract;

use millrace_state::store::FolderStore;

#[test]
fn a_folder_keeps_what_a_store_promises() {
    let folder = tempfile::tempdir().unwrap();
    contract::holds(&FolderStore::open(folder.path()).unwrap());
}
