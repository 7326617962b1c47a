//! What every store promises, whatever it lies on.

use millrace_state::StateError;
use millrace_state::store::{Created, Store};

/// More than goes to an object store in one request.
const LARGE: usize = (20 << 20) + 5;

/// Holds an empty store to it.
pub fn holds(store: &dyn Store) {
    puts_and_creates(store);
    reads_no_more_and_no_less_than_is_there(store);
    lists_what_is_directly_below(store);
    for path in ["../x", "/x", "a//b", "a/../b", ".", ""] {
        assert!(store.put(path, b"").is_err() && store.get(path, 1).is_err() && store.remove(path).is_err(), "{path:?}");
    }
}

fn puts_and_creates(store: &dyn Store) {
    assert_eq!((store.get("a/b", 10).unwrap(), store.list("a").unwrap()), (None, vec![]));
    store.put("a/b", b"one").unwrap();
    store.put("a/b", b"two").unwrap();
    assert_eq!(store.create("a/c", b"three").unwrap(), Created::Now);
    assert_eq!(store.create("a/c", b"four").unwrap(), Created::Before);
    assert_eq!(store.create("a/b", b"four").unwrap(), Created::Before);
    assert_eq!(store.get("a/b", 10).unwrap().unwrap(), b"two");
    assert_eq!(store.get("a/c", 10).unwrap().unwrap(), b"three");
    store.put("a/empty", b"").unwrap();
    assert_eq!(store.get("a/empty", 0).unwrap().unwrap(), b"");
    store.put_until_kept("a/late", b"five").unwrap();
    assert_eq!(store.get_range("a/late", 1, 2).unwrap().unwrap(), b"iv");
    store.keep("a/late").unwrap();
    store.keep("a/late").unwrap();
    assert_eq!(store.get("a/late", 10).unwrap().unwrap(), b"five");
    assert_eq!(store.list("a").unwrap(), ["b", "c", "empty", "late"], "nothing unfinished is left");
    for name in ["b", "b", "empty", "late", "c"] {
        store.remove(&format!("a/{name}")).unwrap();
    }
    store.remove_folder("a").unwrap();
    assert!(!store.list("").unwrap().contains(&"a".to_owned()));
    assert_eq!(store.create("a/c", b"six").unwrap(), Created::Now, "what was removed may be created again");
    store.remove("a/c").unwrap();
    store.remove_folder("a").unwrap();
}

fn reads_no_more_and_no_less_than_is_there(store: &dyn Store) {
    let large: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    store.put("p/large", &large).unwrap();
    assert!(store.get("p/large", LARGE as u64).unwrap().unwrap() == large, "all of it, in its order");
    let (at, bytes) = ((5 << 20) + 3, 10 << 20);
    assert!(store.get_range("p/large", at, bytes).unwrap().unwrap() == large[at as usize..(at + bytes) as usize]);
    assert_eq!(store.get_range("p/large", LARGE as u64, 0).unwrap().unwrap(), b"");
    assert_eq!(store.get_range("p/none", 0, 1).unwrap(), None);
    let is_damaged = |error| matches!(error, StateError::Damaged { .. });
    assert!(is_damaged(store.get("p/large", LARGE as u64 - 1).unwrap_err()));
    for (at, bytes) in [(LARGE as u64 - 1, 2), (LARGE as u64 + 1, 1), (1, u64::MAX)] {
        assert!(is_damaged(store.get_range("p/large", at, bytes).unwrap_err()), "{bytes} at {at}");
    }
    store.remove("p/large").unwrap();
    store.remove_folder("p").unwrap();
}

fn lists_what_is_directly_below(store: &dyn Store) {
    let paths = ["r/run-1/begun", "r/run-1/epoch-2/part", "r/run-10/begun", "r/note"];
    paths.iter().for_each(|path| store.put(path, b"x").unwrap());
    assert_eq!(store.list("r").unwrap(), ["note", "run-1", "run-10"]);
    assert_eq!(store.list("r/run-1").unwrap(), ["begun", "epoch-2"], "a name is not a beginning of a name");
    assert!(store.list("").unwrap().contains(&"r".to_owned()));
    assert_eq!(store.list("r/run-2").unwrap(), [""; 0]);
    paths.iter().for_each(|path| store.remove(path).unwrap());
}
