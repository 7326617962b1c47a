//! The names whose certificates are no longer believed: a file each, so that whoever adds one disturbs nobody who looks; and those that the node's
//! control group has agreed on, from the moment on that this node has heard of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::agreed::Agreed;
use super::error::TrustError;
use super::files;
use super::identity::Name;

/// Clones are the same.
#[derive(Debug, Clone)]
pub struct Revoked {
    folder: PathBuf,
    agreed: Arc<OnceLock<Agreed>>,
}

impl Revoked {
    pub fn within(folder: &Path) -> Revoked {
        Revoked { folder: folder.join("revoked"), agreed: Arc::default() }
    }

    /// From now on what the group agrees on counts too. The first group stays.
    pub fn take_agreed(&self, agreed: Agreed) {
        let _ = self.agreed.set(agreed);
    }

    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.get()
    }

    /// Revokes all certificates of a name, those to come too.
    pub fn add(&self, name: &Name) -> Result<(), TrustError> {
        files::private_folder(&self.folder)?;
        files::write(&self.folder.join(name.as_str()), b"")
    }

    pub fn contains(&self, name: &Name) -> bool {
        self.agreed().is_some_and(|agreed| agreed.is_revoked(name)) || self.is_kept(name)
    }

    /// Whether there is a file.
    pub fn is_kept(&self, name: &Name) -> bool {
        // A folder that cannot be looked into does not make a revoked certificate good.
        self.folder.join(name.as_str()).try_exists().unwrap_or(true)
    }

    /// Those that there is a file of.
    pub fn kept(&self) -> Result<Vec<Name>, TrustError> {
        Ok(files::names(&self.folder)?.iter().filter_map(|name| Name::parse(name).ok()).collect())
    }

    pub fn all(&self) -> Result<Vec<Name>, TrustError> {
        let mut names = self.kept()?;
        names.extend(self.agreed().map(Agreed::revoked).unwrap_or_default());
        names.sort();
        names.dedup();
        Ok(names)
    }
}
