//! Both layers of folders do the same, and the simulated one keeps only what was synced for certain.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::folders::{FileSystem, Folders, InOrder, Kind};

use super::*;

fn write(folders: &dyn Folders, path: &Path, bytes: &[u8]) {
    let mut file = InOrder::new(folders.create(path).unwrap());
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

fn read(folders: &dyn Folders, path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    InOrder::new(folders.read(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn keeps_the_contract(folders: &dyn Folders, root: &Path) {
    let at = |name: &str| root.join(name);
    folders.make_folder(&at("a")).unwrap();
    assert_eq!(folders.make_folder(&at("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    folders.make_folder(&at("a/b")).unwrap();
    write(folders, &at("a/b/one"), b"first");
    write(folders, &at("a/b/one"), b"1");
    write(folders, &at("a/two"), b"2");
    assert_eq!(read(folders, &at("a/b/one")).unwrap(), b"1");
    assert_eq!(folders.list(&at("a")).unwrap(), ["b", "two"]);
    let kinds = ["a/b", "a/two", "a/three"].map(|name| folders.kind(&at(name)).unwrap());
    assert_eq!(kinds, [Some(Kind::Folder), Some(Kind::File), None]);
    assert_eq!(folders.read(&at("a/three")).err().unwrap().kind(), io::ErrorKind::NotFound);
    assert_eq!(folders.create(&at("c/three")).err().unwrap().kind(), io::ErrorKind::NotFound);

    folders.link(&at("a/two"), &at("a/b/second")).unwrap();
    assert_eq!(
        folders.link(&at("a/two"), &at("a/b/second")).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    folders.rename(&at("a/b/one"), &at("a/two")).unwrap();
    assert_eq!(read(folders, &at("a/two")).unwrap(), b"1");
    assert_eq!(read(folders, &at("a/b/second")).unwrap(), b"2");
    folders.rename(&at("a/b"), &at("c")).unwrap();
    assert_eq!(folders.list(&at("c")).unwrap(), ["second"]);
    assert_eq!(folders.remove_folder(&at("c")).unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);

    let files = folders.files(&at("d")).unwrap();
    files.create("x").unwrap().write_at(0, b"x").unwrap();
    assert_eq!(read(folders, &at("d/x")).unwrap(), b"x");
    folders.make_folder(&at("d/e")).unwrap();
    assert_eq!(files.list().unwrap(), ["x"], "a folder is no file");
    let locked = folders.lock(&at("d/x")).unwrap();
    locked.write_at(1, b"y").unwrap();
    assert_eq!(read(folders, &at("d/x")).unwrap(), b"xy");
    drop(locked);
    for name in ["a", "c", "d", "nothing"] {
        folders.remove_all(&at(name)).unwrap();
    }
    assert!(folders.list(root).unwrap().is_empty());
}

#[test]
fn the_system_and_the_simulation_do_the_same() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_contract(&FileSystem, folder.path());
    keeps_the_contract(&SimulatedDisk::new(), Path::new("/"));
}

#[test]
fn a_file_that_somebody_has_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let _first = FileSystem.lock(&path).unwrap();
    assert_eq!(FileSystem.lock(&path).err().unwrap().kind(), io::ErrorKind::ResourceBusy);
}

/// What can be there after a power cut of what `work` did, as lists of files with their bytes.
fn left(work: impl Fn(&SimulatedDisk)) -> std::collections::BTreeSet<String> {
    let one = |seed| {
        let disk = SimulatedDisk::new();
        work(&disk);
        disk.power_cut(&SeededRandom::new(seed));
        let all = disk.everything().into_iter();
        let all = all.map(|(path, bytes)| format!("{path}={}", String::from_utf8(bytes).unwrap()));
        all.collect::<Vec<_>>().join(" ")
    };
    (0..300).map(one).collect()
}

#[test]
fn a_name_is_certain_once_each_folder_above_was_synced() {
    let (root, folder, file) = (Path::new("/"), Path::new("/a"), Path::new("/a/x"));
    let made = |disk: &SimulatedDisk| {
        disk.make_folder(folder).unwrap();
        write(disk, file, b"1");
    };
    assert_eq!(Vec::from_iter(left(made)), ["", "a/x=1"]);
    let half = |disk: &SimulatedDisk| {
        made(disk);
        disk.sync_folder(folder).unwrap();
    };
    assert_eq!(Vec::from_iter(left(half)), ["", "a/x=1"], "the folder itself may go");
    let whole = |disk: &SimulatedDisk| {
        half(disk);
        disk.sync_folder(root).unwrap();
    };
    assert_eq!(Vec::from_iter(left(whole)), ["a/x=1"]);
    let renamed = |disk: &SimulatedDisk| {
        whole(disk);
        write(disk, Path::new("/y"), b"2");
        disk.sync_folder(root).unwrap();
        disk.rename(Path::new("/y"), file).unwrap();
    };
    assert_eq!(Vec::from_iter(left(renamed)), ["a/x=1 y=2", "a/x=2"], "whole or not at all");
    let linked = |disk: &SimulatedDisk| {
        whole(disk);
        disk.link(file, Path::new("/z")).unwrap();
        disk.remove_file(file).unwrap();
    };
    assert_eq!(Vec::from_iter(left(linked)), ["", "a/x=1", "a/x=1 z=1", "z=1"], "each by itself");
}
