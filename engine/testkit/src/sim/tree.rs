//! What a disk holds: as whoever reads it sees it, and as it would be after a crash.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Component, Path, PathBuf};

use super::Chance;

type NodeNumber = usize;

const ROOT: NodeNumber = 0;

#[derive(Debug)]
enum Node {
    File { now: Vec<u8>, durable: Vec<u8> },
    Folder { now: Names, durable: Names },
}

type Names = BTreeMap<String, NodeNumber>;

/// Names given and taken at once, by folder; not durable yet.
#[derive(Debug)]
struct Change {
    names: Vec<(NodeNumber, String, Option<NodeNumber>)>,
}

#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Changes of names that no folder's sync has made durable, in order.
    pending: Vec<Change>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { nodes: vec![Node::Folder { now: Names::new(), durable: Names::new() }], pending: Vec::new() }
    }
}

fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

fn missing() -> io::Error {
    io::Error::from(ErrorKind::NotFound)
}

impl Tree {
    fn find(&self, path: &Path) -> Option<NodeNumber> {
        parts(path).try_fold(ROOT, |at, name| match &self.nodes[at] {
            Node::Folder { now, .. } => now.get(name).copied(),
            Node::File { .. } => None,
        })
    }

    fn folder(&self, path: &Path) -> io::Result<(NodeNumber, &Names)> {
        let at = self.find(path).ok_or_else(missing)?;
        match &self.nodes[at] {
            Node::Folder { now, .. } => Ok((at, now)),
            Node::File { .. } => Err(io::Error::from(ErrorKind::NotADirectory)),
        }
    }

    /// The folder that a path's last name stands in, and the name.
    fn place(&self, path: &Path) -> io::Result<(NodeNumber, String)> {
        let name = parts(path).last().ok_or_else(missing)?.to_owned();
        Ok((self.folder(path.parent().unwrap_or(Path::new("/")))?.0, name))
    }

    fn change(&mut self, names: Vec<(NodeNumber, String, Option<NodeNumber>)>) {
        for (folder, name, node) in &names {
            if let Node::Folder { now, .. } = &mut self.nodes[*folder] {
                set(now, name, *node);
            }
        }
        self.pending.push(Change { names });
    }

    pub fn is_folder(&self, path: &Path) -> bool {
        self.folder(path).is_ok()
    }

    pub fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        if self.find(path).is_some() {
            return Err(io::Error::from(ErrorKind::AlreadyExists));
        }
        self.nodes.push(Node::Folder { now: Names::new(), durable: Names::new() });
        self.change(vec![(folder, name, Some(self.nodes.len() - 1))]);
        Ok(())
    }

    /// An empty file, in place of the bytes of one that is there.
    pub fn create(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        match self.find(path) {
            Some(at) => self.write_to(at, &[]),
            None => {
                self.nodes.push(Node::File { now: Vec::new(), durable: Vec::new() });
                self.change(vec![(folder, name, Some(self.nodes.len() - 1))]);
                Ok(())
            }
        }
    }

    fn write_to(&mut self, at: NodeNumber, bytes: &[u8]) -> io::Result<()> {
        match &mut self.nodes[at] {
            Node::File { now, .. } => *now = bytes.to_vec(),
            Node::Folder { .. } => return Err(io::Error::from(ErrorKind::IsADirectory)),
        }
        Ok(())
    }

    pub fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_to(self.find(path).ok_or_else(missing)?, bytes)
    }

    /// Adds bytes at a file's end; an empty file, if it is not there.
    pub fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.find(path).is_none() {
            self.create(path)?;
        }
        let whole = [self.read(path)?.as_slice(), bytes].concat();
        self.write(path, &whole)
    }

    /// Lets go of a file's bytes from a length on, and syncs it.
    pub fn cut(&mut self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut kept = self.read(path)?;
        kept.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.write(path, &kept)?;
        self.sync(path)
    }

    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match &self.nodes[self.find(path).ok_or_else(missing)?] {
            Node::File { now, .. } => Ok(now.clone()),
            Node::Folder { .. } => Err(io::Error::from(ErrorKind::IsADirectory)),
        }
    }

    pub fn sync(&mut self, path: &Path) -> io::Result<()> {
        let at = self.find(path).ok_or_else(missing)?;
        if let Node::File { now, durable } = &mut self.nodes[at] {
            durable.clone_from(now);
        }
        Ok(())
    }

    pub fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        let (at, _) = self.folder(path)?;
        for change in mem::take(&mut self.pending) {
            if change.names.iter().any(|(folder, ..)| *folder == at) {
                self.settle(&change);
            } else {
                self.pending.push(change);
            }
        }
        Ok(())
    }

    fn settle(&mut self, change: &Change) {
        for (folder, name, node) in &change.names {
            if let Node::Folder { durable, .. } = &mut self.nodes[*folder] {
                set(durable, name, *node);
            }
        }
    }

    pub fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (at, (folder, name)) = (self.find(from).ok_or_else(missing)?, self.place(to)?);
        if self.find(to).is_some() {
            return Err(io::Error::from(ErrorKind::AlreadyExists));
        }
        self.change(vec![(folder, name, Some(at))]);
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let at = self.find(from).ok_or_else(missing)?;
        let ((left, old), (entered, new)) = (self.place(from)?, self.place(to)?);
        self.change(vec![(left, old, None), (entered, new, Some(at))]);
        Ok(())
    }

    pub fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.find(path).ok_or_else(missing)?;
        let (folder, name) = self.place(path)?;
        self.change(vec![(folder, name, None)]);
        Ok(())
    }

    pub fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        if !self.folder(path)?.1.is_empty() {
            return Err(io::Error::from(ErrorKind::DirectoryNotEmpty));
        }
        self.remove_file(path)
    }

    pub fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Ok(self.folder(path)?.1.keys().cloned().collect())
    }

    /// All files and empty folders.
    pub fn all(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.gather(ROOT, Path::new("/"), &mut found);
        found
    }

    fn gather(&self, at: NodeNumber, path: &Path, found: &mut Vec<PathBuf>) {
        match &self.nodes[at] {
            Node::Folder { now, .. } if !now.is_empty() => now.iter().for_each(|(name, node)| self.gather(*node, &path.join(name), found)),
            _ => found.push(path.to_path_buf()),
        }
    }

    /// The power goes: what was synced stays, and of the rest what is drawn. Says what was drawn.
    pub fn crash(&mut self, chance: &mut Chance) -> String {
        let pending = mem::take(&mut self.pending);
        let (all, way) = (pending.len() as u64, chance.below(4));
        let first = match way {
            0 => 0,
            1 => all,
            _ => chance.below(all + 1),
        };
        let mut kept = 0;
        for (number, change) in pending.into_iter().enumerate() {
            // As a journal does, the first so many; or any of them.
            let stays = if way == 3 { chance.one_in(2) } else { (number as u64) < first };
            if stays {
                self.settle(&change);
                kept += 1;
            }
        }
        let (mut unsynced, mut torn) = (0, 0);
        for node in &mut self.nodes {
            match node {
                Node::Folder { now, durable } => now.clone_from(durable),
                Node::File { now, durable } if now != durable => {
                    unsynced += 1;
                    torn += usize::from(tear(now, durable, chance));
                    durable.clone_from(now);
                }
                Node::File { .. } => {}
            }
        }
        format!("{kept} of {all} names kept, {torn} of {unsynced} files torn")
    }
}

fn set(names: &mut Names, name: &str, node: Option<NodeNumber>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

/// What becomes of bytes that were not synced; whether they are neither the old nor the new.
fn tear(now: &mut Vec<u8>, durable: &[u8], chance: &mut Chance) -> bool {
    // What was added behind bytes that were synced does those no harm.
    let synced = if now.starts_with(durable) { durable.len() } else { 0 };
    let cut = synced + chance.below((now.len() - synced) as u64 + 1) as usize;
    match chance.below(4) {
        0 => *now = durable.to_vec(),
        1 => return false,
        // Cut, or as long as it was and empty from there on.
        2 => now.truncate(cut),
        _ => now[cut..].fill(0),
    }
    now != durable
}
