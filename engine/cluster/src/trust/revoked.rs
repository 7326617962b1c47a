//! The names whose certificates are no longer believed: a file each, so that whoever adds one disturbs nobody who looks.

use std::path::{Path, PathBuf};

use super::error::TrustError;
use super::files;
use super::identity::Name;

#[derive(Debug, Clone)]
pub struct Revoked {
    folder: PathBuf,
}

impl Revoked {
    pub fn within(folder: &Path) -> Revoked {
        Revoked { folder: folder.join("revoked") }
    }

    /// Revokes all certificates of a name, those to come too.
    pub fn add(&self, name: &Name) -> Result<(), TrustError> {
        files::private_folder(&self.folder)?;
        files::write(&self.folder.join(name.as_str()), b"")
    }

    pub fn contains(&self, name: &Name) -> bool {
        // A folder that cannot be looked into does not make a revoked certificate good.
        self.folder.join(name.as_str()).try_exists().unwrap_or(true)
    }

    pub fn all(&self) -> Result<Vec<Name>, TrustError> {
        Ok(files::names(&self.folder)?.iter().filter_map(|name| Name::parse(name).ok()).collect())
    }
}
