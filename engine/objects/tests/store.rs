//! A bucket keeps what every store promises, over two of the client's own stores; with a folder beside it as well.

#[path = "../../state/tests/contract/mod.rs"]
mod contract;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace_objects::{Address, Bucket, Environment, Remote, open};
use millrace_state::store::{Created, FolderStore, Store};
use millrace_tests::s3::{BUCKET, S3};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn bucket(objects: impl ObjectStore, runtime: &Runtime) -> Bucket {
    Bucket::new(Arc::new(objects), &["pre".to_owned(), "fix".to_owned()], "s3://state/pre/fix".to_owned(), runtime.handle().clone())
}

#[test]
fn a_bucket_keeps_what_a_store_promises() {
    let runtime = runtime();
    let bucket = bucket(InMemory::new(), &runtime);
    bucket.check().unwrap();
    contract::holds(&bucket);
}

#[test]
fn a_bucket_of_a_server_keeps_what_a_store_promises() {
    let (runtime, server) = (runtime(), S3::start());
    let environment: Environment = server.environment().map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let address = Address::parse(&format!("s3://{BUCKET}/pre/fix")).unwrap();
    let bucket = open(&address, &environment, runtime.handle().clone()).unwrap();
    bucket.check().unwrap();
    contract::holds(&bucket);
    assert_eq!(server.keys(), [""; 0], "nothing is left");
}

#[test]
fn a_bucket_with_a_folder_beside_it_keeps_what_a_store_promises() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    contract::holds(&Remote::open(bucket(InMemory::new(), &runtime), folder.path()).unwrap());
}

#[test]
fn of_many_that_create_one_name_one_is_the_first() {
    let runtime = runtime();
    let bucket = bucket(InMemory::new(), &runtime);
    let firsts = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..8u8 {
            let (bucket, firsts) = (&bucket, &firsts);
            scope.spawn(move || match bucket.create("epoch-1/manifest", &[number]).unwrap() {
                Created::Now => firsts.fetch_add(1, Ordering::Relaxed),
                Created::Before => 0,
            });
        }
    });
    assert_eq!(firsts.load(Ordering::Relaxed), 1);
}

#[test]
fn a_block_is_in_the_bucket_from_the_first_epoch_that_refers_to_it() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let there = bucket(InMemory::new(), &runtime);
    let store = Remote::open(there.clone(), folder.path()).unwrap();
    for name in ["a", "b"] {
        store.put_until_kept(&format!("run-7/blocks/{name}"), b"rows").unwrap();
    }
    assert_eq!(there.list("run-7/blocks").unwrap(), [""; 0], "nobody refers to it yet");
    store.keep("run-7/blocks/a").unwrap();
    assert_eq!(there.list("run-7/blocks").unwrap(), ["a"]);
    // Another machine goes on: what is here does not count.
    drop(store);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Remote::open(there.clone(), elsewhere.path()).unwrap();
    assert_eq!(other.get_range("run-7/blocks/a", 1, 2).unwrap().unwrap(), b"ow");
    assert_eq!(other.get_range("run-7/blocks/b", 1, 2).unwrap(), None);
    // And the first one again: what was only here is gone.
    let again = Remote::open(there.clone(), folder.path()).unwrap();
    assert_eq!(again.get_range("run-7/blocks/b", 1, 2).unwrap(), None);
    again.remove("run-7/blocks/a").unwrap();
    assert_eq!(there.list("run-7/blocks").unwrap(), [""; 0]);
}

#[test]
fn requests_for_savepoints_stay_on_the_machine() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let there = bucket(InMemory::new(), &runtime);
    let store = Remote::open(there.clone(), folder.path()).unwrap();
    let visitor = Remote::visit(there.clone(), folder.path());
    visitor.put("requests/monday/asked", b"").unwrap();
    assert_eq!(store.list("requests").unwrap(), ["monday"]);
    assert_eq!(there.list("").unwrap(), [""; 0]);
    assert!(Remote::open(there, folder.path()).is_err(), "one process of a machine at a time");
    assert!(!FolderStore::is_free(folder.path()));
}
