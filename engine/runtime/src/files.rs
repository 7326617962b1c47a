//! The only way from a pipeline to the disk: paths stay under the project's root.
//!
//! Opened relative to a directory handle (`cap-std`), so that neither `..` nor a symlink swapped in between check and use leads out.

use std::io;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};

/// The folders that a pipeline may read and write.
#[derive(Debug)]
pub struct Files {
    /// The project's root first, then what `--allow-path` named.
    roots: Vec<Root>,
    /// The pipeline file's folder, absolute; relative paths start here.
    folder: PathBuf,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    dir: Dir,
}

/// A path that was found to lie under a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    root: usize,
    /// Relative to the root, without `.` or `..`.
    pub inside: PathBuf,
}

impl Files {
    /// `root` is the nearest ancestor of `folder` with `.git`, else `folder` itself.
    pub fn for_folder(folder: &Path, allowed: &[PathBuf]) -> io::Result<Files> {
        let folder = folder.canonicalize()?;
        let root = folder.ancestors().find(|up| up.join(".git").exists()).unwrap_or(&folder).to_path_buf();
        let mut roots = vec![Root::open(&root)?];
        for path in allowed {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("the allowed folder {}: {error}", path.display()));
            roots.push(path.canonicalize().and_then(|path| Root::open(&path)).map_err(named)?);
        }
        Ok(Files { roots, folder })
    }

    /// For a `folder` within a `root` that are both known: a run's own folder on a node.
    pub fn rooted(root: &Path, folder: &Path) -> io::Result<Files> {
        let (root, folder) = (root.canonicalize()?, folder.canonicalize()?);
        if !folder.starts_with(&root) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the folder lies outside its root"));
        }
        Ok(Files { roots: vec![Root::open(&root)?], folder })
    }

    /// Where `path` lies within the project's root itself: what names a file to an engine on another machine.
    pub fn in_project(&self, path: &Path) -> io::Result<PathBuf> {
        let at = self.locate(path)?;
        if at.root == 0 {
            return Ok(at.inside);
        }
        let message =
            format!("{} lies outside the project ({}), and only the project's files travel", path.display(), self.root().display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }

    /// The pipeline file's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The project's root.
    pub fn root(&self) -> &Path {
        self.roots.first().map_or(self.folder.as_path(), |root| root.path.as_path())
    }

    /// Finds the root that holds `path` (relative to the pipeline file's folder, or absolute), by its words alone.
    pub fn locate(&self, path: &Path) -> io::Result<Located> {
        let absolute = normalize(&self.folder.join(path));
        for (index, root) in self.roots.iter().enumerate() {
            if let Ok(inside) = absolute.strip_prefix(&root.path) {
                return Ok(Located { root: index, inside: inside.to_path_buf() });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} lies outside the project ({}); allow its folder with --allow-path", path.display(), self.root().display()),
        ))
    }

    fn dir(&self, at: &Located) -> io::Result<&Dir> {
        self.roots.get(at.root).map(|root| &root.dir).ok_or_else(|| io::Error::other("no such root"))
    }

    /// Opens a regular file to read. Device files, pipes and folders are refused.
    pub fn open(&self, path: &Path) -> io::Result<std::fs::File> {
        let at = self.locate(path)?;
        let dir = self.dir(&at)?;
        // Asked before as well: opening a pipe waits for its other end.
        refuse_special(dir.metadata(&at.inside)?.is_file(), path)?;
        regular(dir.open(&at.inside)?, path)
    }

    /// Creates a file to write (with its parent folders), empty if it was there.
    pub fn create(&self, path: &Path) -> io::Result<std::fs::File> {
        let at = self.locate(path)?;
        let dir = self.dir(&at)?;
        if let Some(parent) = at.inside.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            dir.create_dir_all(parent)?;
        }
        if let Ok(there) = dir.metadata(&at.inside) {
            refuse_special(there.is_file(), path)?;
        }
        let file = dir.open_with(&at.inside, OpenOptions::new().write(true).create(true).truncate(true))?;
        regular(file, path)
    }

    /// Renames within one root; the target is replaced at once, and its folder is synced.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.locate(from)?, self.locate(to)?);
        self.dir(&from)?.rename(&from.inside, self.dir(&to)?, &to.inside)?;
        self.sync_parent(&to)
    }

    fn sync_parent(&self, at: &Located) -> io::Result<()> {
        let parent = at.inside.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.dir(at)?.open(parent)?.sync_all()
    }

    /// Makes durable which names there are beside `path`.
    pub fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        self.sync_parent(&self.locate(path)?)
    }

    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let at = self.locate(path)?;
        self.dir(&at)?.remove_file(&at.inside)
    }

    /// Makes a folder, and those that it lies in, such that they outlast a crash.
    pub fn make_folder(&self, path: &Path) -> io::Result<()> {
        let at = self.locate(path)?;
        self.dir(&at)?.create_dir_all(&at.inside)?;
        let made = at.inside.ancestors().filter(|folder| !folder.as_os_str().is_empty());
        made.map(|folder| Located { root: at.root, inside: folder.to_path_buf() }).try_for_each(|folder| self.sync_parent(&folder))
    }

    /// Removes a folder that has nothing in it.
    pub fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let at = self.locate(path)?;
        self.dir(&at)?.remove_dir(&at.inside)
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.locate(path).and_then(|at| self.dir(&at).map(|dir| dir.exists(&at.inside))).unwrap_or(false)
    }

    /// Whether there is a folder, rather than a file, at `path`.
    ///
    /// # Errors
    /// If nothing is there, or a link leads out of the root.
    pub fn is_folder(&self, path: &Path) -> io::Result<bool> {
        let at = self.locate(path)?;
        let inside = if at.inside.as_os_str().is_empty() { Path::new(".") } else { at.inside.as_path() };
        Ok(self.dir(&at)?.metadata(inside)?.is_dir())
    }

    /// Whether `path` itself is a symbolic link, wherever that leads.
    pub fn is_link(&self, path: &Path) -> bool {
        let linked = self.locate(path).and_then(|at| self.dir(&at)?.symlink_metadata(&at.inside));
        linked.is_ok_and(|metadata| metadata.is_symlink())
    }

    /// Whether something is there that is neither a file, nor a folder, nor a link: a device, a pipe, a socket.
    pub fn is_special(&self, path: &Path) -> bool {
        let there = self.locate(path).and_then(|at| self.dir(&at)?.symlink_metadata(&at.inside));
        there.is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir() && !metadata.is_symlink())
    }

    /// What two paths have in common if they lead to one place: links followed as far as anything is there.
    pub fn place(&self, path: &Path) -> PathBuf {
        let absolute = normalize(&self.folder.join(path));
        let there = absolute.ancestors().find_map(|at| Some((at.canonicalize().ok()?, absolute.strip_prefix(at).ok()?)));
        there.map_or_else(|| absolute.clone(), |(at, rest)| if rest.as_os_str().is_empty() { at } else { at.join(rest) })
    }

    /// Where a file lies that others open by its path, a database: every link on the way followed, and refused if that leads out.
    ///
    /// What is left: who can swap a folder of the project for a link between this look and the opening is not kept out.
    pub fn opened_by_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.locate(path)?;
        let absolute = normalize(&self.folder.join(path));
        // A link to where nothing is would be followed by who makes the file, and cannot be followed here.
        if let Some(dangling) = absolute.ancestors().find(|at| at.is_symlink() && !at.exists()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is a link to where nothing is", dangling.display())));
        }
        let place = self.place(path);
        let message = || format!("a link leads out of the project, to {}; allow its folder with --allow-path", place.display());
        self.locate(&place).map_err(|_| io::Error::new(io::ErrorKind::PermissionDenied, message()))?;
        Ok(place)
    }

    /// The names in a folder, sorted.
    pub fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let at = self.locate(path)?;
        let inside = if at.inside.as_os_str().is_empty() { Path::new(".") } else { at.inside.as_path() };
        let mut names = Vec::new();
        for entry in self.dir(&at)?.read_dir(inside)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

impl Root {
    fn open(path: &Path) -> io::Result<Root> {
        Ok(Root { path: path.to_path_buf(), dir: Dir::open_ambient_dir(path, ambient_authority())? })
    }
}

fn regular(file: File, path: &Path) -> io::Result<std::fs::File> {
    refuse_special(file.metadata()?.is_file(), path)?;
    Ok(file.into_std())
}

/// A folder, a device, a pipe or a socket is not read or written as a file.
fn refuse_special(is_file: bool, path: &Path) -> io::Result<()> {
    if is_file {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a regular file", path.display())))
}

/// Resolves `.` and `..` by the words of the path.
fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
