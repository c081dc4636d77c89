//! What the pages take from others is what the lock file names, byte for byte.

use std::fs;

use stack::layout::workspace_root;

/// Served file -> the file of the npm package it is a copy of.
const COPIES: &[(&str, &str)] = &[("chart.umd.min.js", "chart.js/dist/chart.umd.min.js")];

#[test]
fn vendored_files_are_those_of_the_locked_packages_with_their_licences() {
    let root = workspace_root().unwrap();
    let vendor = root.join("functions/gateway/assets/vendor");
    let licences = fs::read_to_string(vendor.join("LICENSES.txt")).unwrap();
    for (served, package) in COPIES {
        let original = root.join("node_modules").join(package);
        let original = fs::read(&original).unwrap_or_else(|error| panic!("{}: {error}; run `npm ci`", original.display()));
        let copy = fs::read(vendor.join(served)).unwrap();
        assert!(copy == original, "{served} is not node_modules/{package}: copy it anew");
        let name = package.split('/').next().unwrap();
        assert!(
            licences.contains(served) && licences.contains(name),
            "LICENSES.txt says nothing of {served}"
        );
    }
    let files: Vec<_> = fs::read_dir(&vendor).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), COPIES.len() + 1, "a file without a line here: {files:?}");
}
