//! A file system of its own for a collector's folder, so that a test can take the right to write away. It needs root; elsewhere there is none,
//! and the test says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one at `folder`, which is made.
    pub fn mount(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("a folder to mount at");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4g", "tmpfs"]).arg(folder).stderr(Stdio::null());
        let disk = mount.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()));
        if disk.is_none() {
            eprintln!("left out: a disk that is read-only for a while; mounting one needs root");
        }
        disk
    }

    /// Nothing can be written any more: EROFS. It works in a moment when no file is open for writing, so it is tried until then.
    pub async fn take_away(&self) {
        let end = Instant::now() + Duration::from_secs(120);
        while !self.remount("ro") {
            assert!(Instant::now() < end, "no moment without an open file in two minutes");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    pub fn give_back(&self) {
        assert!(self.remount("rw"), "the disk stays read-only");
    }

    fn remount(&self, how: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&self.0).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
