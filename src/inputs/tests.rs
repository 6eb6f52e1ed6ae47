//! Two inputs that differ have digests that differ.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

fn digest(add: impl FnOnce(&mut Inputs)) -> String {
    let mut inputs = Inputs::new();
    add(&mut inputs);
    inputs.finish()
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment::Fixed(owned.collect::<BTreeMap<_, _>>())
}

fn variable(variables: &[(&str, &str)]) -> String {
    digest(|inputs| inputs.variables(&environment(variables), ["TOKEN", "USER"]))
}

fn beginning(variables: &[(&str, &str)]) -> String {
    digest(|inputs| {
        inputs.beginning_with(&environment(variables), "AWS_");
        inputs.text("after");
    })
}

fn file(path: &Path) -> String {
    digest(|inputs| inputs.file(path))
}

#[test]
fn a_digest_is_sha_256_in_hexadecimal() {
    assert_eq!(digest(|_| {}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn an_empty_variable_is_an_unset_one_and_neither_is_one_with_such_a_value() {
    assert_eq!(variable(&[]), variable(&[("TOKEN", ""), ("OTHER", "x")]));
    let all = [
        variable(&[]),
        variable(&[("TOKEN", "unset")]),
        variable(&[("TOKEN", "set")]),
        variable(&[("USER", "set")]),
        variable(&[("TOKEN", "setUSER"), ("USER", "set")]),
    ];
    for (number, one) in all.iter().enumerate() {
        assert!(!all[number + 1..].contains(one), "{number}");
    }
}

#[test]
fn variables_that_begin_alike_are_told_from_each_other_and_from_what_follows() {
    assert_eq!(beginning(&[("AWS_A", "1"), ("OTHER", "x")]), beginning(&[("AWS_A", "1"), ("AWS_B", "")]));
    let all = [
        beginning(&[]),
        beginning(&[("AWS_A", "1")]),
        beginning(&[("AWS_A", "2")]),
        beginning(&[("AWS_A1", "")]),
        beginning(&[("AWS_", "A1")]),
        beginning(&[("AWS_A", "1"), ("AWS_B", "2")]),
        beginning(&[("AWS_A", "1AWS_B2")]),
    ];
    for (number, one) in all.iter().enumerate() {
        assert!(number == 0 || number == 3 || !all[..number].contains(one), "{number}");
    }
    let read_on = digest(|inputs| {
        inputs.beginning_with(&environment(&[("AWS_A", "1")]), "AWS_");
    });
    let read_as_texts = digest(|inputs| {
        inputs.beginning_with(&environment(&[]), "AWS_");
        inputs.text("AWS_A");
        inputs.text("1");
    });
    assert_ne!(read_on, read_as_texts);
}

#[test]
fn a_file_that_is_written_replaced_or_pointed_elsewhere_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut seen = vec![file(&path)];
    let mut differs = |what: &str| {
        // Clocks of file systems move on in steps of some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(15));
        let now = file(&path);
        assert_eq!(now, file(&path), "{what}: unchanged");
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    fs::write(&path, "hvs.aaaa").unwrap();
    differs("made");
    fs::write(&path, "hvs.bbbb").unwrap();
    differs("rewritten in its place, with the same length");
    let before = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, "hvs.cccc").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    differs("rewritten, and its time set back");
    let other = folder.path().join("other");
    fs::write(&other, "hvs.dddd").unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(before).unwrap();
    fs::rename(&other, &path).unwrap();
    differs("replaced by one of the same size and time");
    let (one, two) = (folder.path().join("..1"), folder.path().join("..2"));
    for target in [&one, &two] {
        fs::write(target, "hvs.eeee").unwrap();
        fs::File::options().write(true).open(target).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    fs::remove_file(&path).unwrap();
    symlink(&one, &path).unwrap();
    differs("a link, as a kubelet makes it");
    fs::remove_file(&path).unwrap();
    symlink(&two, &path).unwrap();
    differs("the link moved to the next one");
    fs::remove_file(&path).unwrap();
    assert_eq!(file(&path), seen[0], "gone again");
}

#[test]
fn paths_count_byte_by_byte_also_where_nothing_is_there() {
    use std::ffi::OsStr;
    let [one, two] =
        [b"/nowhere/\xfe", b"/nowhere/\xff"].map(|bytes| file(Path::new(OsStr::from_bytes(bytes))));
    assert_ne!(one, two);
    assert_ne!(file(Path::new("/nowhere/a")), file(Path::new("/nowhere/b")));
}

proptest! {
    #[test]
    fn texts_are_told_apart_however_they_are_cut(
        one in prop::collection::vec("[ab]{0,3}", 0..4), two in prop::collection::vec("[ab]{0,3}", 0..4),
    ) {
        let of = |texts: &[String]| digest(|inputs| texts.iter().for_each(|text| inputs.text(text)));
        prop_assert_eq!(of(&one) == of(&two), one == two);
    }

    #[test]
    fn what_was_digested_so_far_is_not_changed_by_what_follows(one in ".*", two in ".*") {
        let mut inputs = Inputs::new();
        inputs.text(&one);
        let so_far = inputs.clone().finish();
        inputs.text(&two);
        prop_assert_eq!(so_far, digest(|inputs| inputs.text(&one)));
        prop_assert_ne!(digest(|inputs| inputs.text(&one)), inputs.finish());
    }
}
