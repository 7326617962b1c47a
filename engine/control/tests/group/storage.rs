//! openraft's own tests of whoever stores for it.

use millrace_control::Place;
use millrace_control::config::{StorageError, Types};
use millrace_control::log::LogStore;
use millrace_control::machine::Machine;
use openraft::testing::{StoreBuilder, Suite};

struct OnDisk;

impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError> {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::on_system(folder.path());
        let (log, machine) = (LogStore::open(&place, 1 << 20).unwrap(), Machine::open(&place).unwrap());
        Ok((folder, log, machine))
    }
}

#[test]
fn the_log_and_the_state_on_disk_are_what_openraft_asks_for() {
    Suite::test_all(OnDisk).unwrap();
}
