//! Where the socket is looked for, and whom it must belong to.

use std::collections::BTreeMap;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;

/// A user of nobody's.
const STRANGER: u32 = 65_533;

fn found(variables: &[(&str, &str)]) -> (String, bool) {
    let place = Place::find(&environment(variables));
    (place.socket.to_str().unwrap().to_owned(), place.is_named)
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment::Fixed(owned.collect::<BTreeMap<_, _>>())
}

/// A folder with a socket in it, as an agent makes them.
struct Made {
    folder: TempDir,
    place: Place,
    _listener: UnixListener,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { socket: folder.path().join("own/agent.sock"), is_named: true };
        place.prepare().unwrap();
        let listener = UnixListener::bind(&place.socket).unwrap();
        place.close_to_others().unwrap();
        Self { folder, place, _listener: listener }
    }

    fn mode(&self, of: &Path, mode: u32) -> String {
        let before = of.metadata().unwrap().permissions();
        fs::set_permissions(of, fs::Permissions::from_mode(mode)).unwrap();
        let judged = self.judged();
        fs::set_permissions(of, before).unwrap();
        judged
    }

    fn judged(&self) -> String {
        judged(&self.place)
    }

    fn own(&self) -> PathBuf {
        self.place.folder().to_owned()
    }
}

fn judged(place: &Place) -> String {
    match place.judge() {
        Ok(()) => "trusted".to_owned(),
        Err(Distrust::Missing) => "missing".to_owned(),
        Err(Distrust::Unsafe(why)) => why,
    }
}

fn is_root() -> bool {
    geteuid().is_root()
}

#[test]
fn the_variable_then_the_runtime_folder_then_the_one_for_temporary_files() {
    let own = geteuid().as_raw();
    let all = [(VARIABLE, "/s/x.sock"), ("XDG_RUNTIME_DIR", "/run/user/7"), ("TMPDIR", "/t")];
    assert_eq!(found(&all), ("/s/x.sock".to_owned(), true));
    assert_eq!(found(&all[1..]), ("/run/user/7/docker-credential-lease/agent.sock".to_owned(), false));
    assert_eq!(found(&all[2..]), (format!("/t/docker-credential-lease-{own}/agent.sock"), false));
    assert_eq!(found(&[]), (format!("/tmp/docker-credential-lease-{own}/agent.sock"), false));
    let here = std::path::absolute("x.sock").unwrap();
    assert_eq!(found(&[(VARIABLE, "x.sock")]), (here.to_str().unwrap().to_owned(), true));
    // An empty one counts as unset.
    assert_eq!(found(&[(VARIABLE, ""), all[1]]), found(&all[1..]));
    assert_eq!(found(&[("XDG_RUNTIME_DIR", ""), ("TMPDIR", "")]), found(&[]));
}

#[test]
fn what_an_agent_makes_is_closed_to_others_and_trusted() {
    let made = Made::new();
    assert_eq!(made.judged(), "trusted");
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode(&made.own()), mode(&made.place.socket)), (0o700, 0o600));
    made.place.prepare().unwrap();
    assert_eq!(judged(&Place { socket: made.own().join("other.sock"), is_named: true }), "missing");
    assert_eq!(judged(&Place { socket: made.folder.path().join("no/x.sock"), is_named: true }), "missing");
    let below_a_file = made.folder.path().join("file");
    fs::write(&below_a_file, "").unwrap();
    assert_eq!(judged(&Place { socket: below_a_file.join("x/y.sock"), is_named: true }), "missing");
}

#[test]
fn a_folder_or_a_socket_that_others_can_write_is_not_trusted() {
    let made = Made::new();
    let (folder, socket) = (made.own(), made.place.socket.clone());
    for (path, mode, who) in
        [(&folder, 0o777, "others"), (&folder, 0o702, "others"), (&socket, 0o666, "others")]
    {
        let path_text = path.display();
        let expected = format!("{path_text} can be written by {who}; hint: chmod go-w {path_text}");
        assert_eq!(made.mode(path, mode), expected, "{mode:o}");
    }
    assert!(made.mode(&socket, 0o620).contains("can be written by others; hint: chmod go-w "));
    // To read is not to replace; and in a sticky folder nobody replaces another's.
    for mode in [0o700, 0o755, 0o711, 0o1777] {
        assert_eq!(made.mode(&folder, mode), "trusted", "{mode:o}");
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(made.place.prepare().unwrap_err().ends_with(&format!("; hint: chmod go-w {}", folder.display())));
}

#[test]
fn a_folder_or_a_socket_of_another_user_is_not_trusted() {
    if !is_root() {
        return;
    }
    let made = Made::new();
    let (folder, socket) = (made.own(), made.place.socket.clone());
    chown(&socket, Some(STRANGER), None).unwrap();
    let hint = format!("hint: set {VARIABLE} to a socket of your own");
    let told = format!("{} belongs to user {STRANGER}, not to user 0; {hint}", socket.display());
    assert_eq!(made.judged(), told);
    chown(&socket, Some(0), None).unwrap();
    assert_eq!(made.judged(), "trusted");
    chown(&folder, Some(STRANGER), None).unwrap();
    assert!(made.judged().starts_with(&format!("{} belongs to user {STRANGER}", folder.display())));
    // Sticky or not: its owner may replace what stands in it.
    assert!(
        made.mode(&folder, 0o1777).starts_with(&format!("{} belongs to user {STRANGER}", folder.display()))
    );
    assert!(made.place.prepare().unwrap_err().contains("belongs to user"));
}

#[test]
fn a_group_may_write_only_where_it_is_ones_own() {
    let made = Made::new();
    let told = |gid| {
        chown(made.own(), None, Some(gid)).unwrap();
        made.mode(&made.own(), 0o770)
    };
    let own = rustix::process::getegid().as_raw();
    if own == geteuid().as_raw() {
        assert_eq!(told(own), "trusted");
    }
    if is_root() {
        assert!(told(STRANGER).contains(" can be written by its group; hint: chmod go-w "));
    }
}

#[test]
fn a_link_or_a_file_in_the_place_of_folder_or_socket_is_not_trusted() {
    let made = Made::new();
    let elsewhere = |name: &str| Place { socket: made.folder.path().join(name), is_named: false };
    let link = made.folder.path().join("link");
    symlink(made.own(), &link).unwrap();
    let told = judged(&elsewhere("link/agent.sock"));
    let hint = format!("hint: set {VARIABLE} to a path in the folder that it leads to");
    assert_eq!(told, format!("{} is a link; {hint}", link.display()));
    assert_eq!(elsewhere("link/agent.sock").prepare().unwrap_err(), told);
    symlink("/nowhere", made.folder.path().join("dangling")).unwrap();
    assert!(judged(&elsewhere("dangling/agent.sock")).contains("dangling is a link; "));
    assert!(elsewhere("dangling/agent.sock").prepare().unwrap_err().contains("dangling"));
    let file = made.own().join("file.sock");
    fs::write(&file, "").unwrap();
    assert_eq!(judged(&elsewhere("own/file.sock")), format!("{} is no socket", file.display()));
    let socket_link = made.own().join("link.sock");
    symlink(&made.place.socket, &socket_link).unwrap();
    assert_eq!(judged(&elsewhere("own/link.sock")), format!("{} is no socket", socket_link.display()));
    assert_eq!(judged(&elsewhere("own")), format!("{} is no socket", made.own().display()));
    assert_eq!(judged(&elsewhere("own/file.sock/x.sock")), format!("{} is no folder", file.display()));
    let told = elsewhere("own/file.sock/x.sock").prepare().unwrap_err();
    assert!(told.starts_with(&format!("cannot make {}: ", file.display())), "{told}");
    assert!(told.ends_with(&format!("; hint: set {VARIABLE} to a path in a folder of your own")), "{told}");
}

#[test]
fn a_path_that_no_kernel_takes_is_told_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let below = |length: usize| {
        let bare = folder.path().join("x/").as_os_str().len();
        folder.path().join("x").join("s".repeat(length - bare))
    };
    let long = Place { socket: below(LONGEST + 1), is_named: true };
    let hint = format!("hint: set {VARIABLE} to a shorter one");
    let told = format!("the socket's path is longer than 103 bytes: {}; {hint}", long.socket.display());
    assert_eq!(long.prepare().unwrap_err(), told);
    assert!(!folder.path().join("x").exists());
    let longest = Place { socket: below(LONGEST), is_named: true };
    longest.prepare().unwrap();
    UnixListener::bind(&longest.socket).unwrap();
    assert_eq!(judged(&longest), "trusted");
}

#[test]
fn a_bare_name_is_in_the_folder_one_stands_in() {
    let bare = |socket: &str| Place { socket: PathBuf::from(socket), is_named: true };
    assert_eq!(bare("x.sock").folder(), Path::new("."));
    assert_eq!(bare("a/x.sock").folder(), Path::new("a"));
    assert_eq!(bare("/x.sock").folder(), Path::new("/"));
    assert_eq!(bare("/").folder(), Path::new("/"));
}
