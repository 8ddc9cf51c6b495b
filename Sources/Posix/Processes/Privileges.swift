import CPosix
import Glibc

/// Gives up the groups and the user of this process for good (setgroups(2), setgid(2), setuid(2)).
///
/// Throws EPERM where this process lacks the privilege, and where it could take the old user back.
public func become(user: UInt32, group: UInt32) throws(SystemError) {
    var groups = [group]
    guard calling(.setgroups, { setgroups(1, &groups) }) == 0 else { throw SystemError("setgroups") }
    guard calling(.setgid, { setgid(group) }) == 0 else { throw SystemError("setgid") }
    // The last of them, for it takes away the right to call the others.
    guard calling(.setuid, { setuid(user) }) == 0 else { throw SystemError("setuid") }
    // A process that keeps capabilities across setuid would still be root.
    guard getuid() == user, geteuid() == user, seteuid(0) != 0, setuid(0) != 0, group == 0 || setgid(0) != 0 else {
        throw SystemError("setuid", EPERM)
    }
}

/// Forbids programs that this process or its children start any privilege that they do not have (PR_SET_NO_NEW_PRIVS in
/// prctl(2)).
public func forbidNewPrivileges() throws(SystemError) {
    guard calling(.prctl, { cposix_no_new_privileges() }) == 0 else { throw SystemError("prctl") }
}

/// The effective user of this process (geteuid(2)).
public var ownUser: UInt32 { geteuid() }

/// Changes the owner and the group of the file at `path` (chown(2)).
public func giveFile(at path: String, to user: UInt32, group: UInt32) throws(SystemError) {
    guard calling(.chown, { chown(path, user, group) }) == 0 else { throw SystemError("chown") }
}
