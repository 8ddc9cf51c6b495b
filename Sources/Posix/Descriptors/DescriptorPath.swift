import Glibc

/// The number of the descriptor of this process that `path` names, as /dev/stderr, /dev/fd/7 and /proc/self/fd/2 do, or a
/// symbolic link to one of them; nil where it names something else (proc_pid_fd(5)).
///
/// open(2) of such a path fails for a socket, and for what another user has opened. The descriptor itself is open already.
public func ownDescriptor(atPath path: String) -> Int32? {
    let names: [String: Int32] = ["/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2]
    var path = path
    // As many links as the kernel follows (ELOOP in path_resolution(7)).
    for _ in 0..<40 {
        // Without them in a small container, /proc tells nothing else.
        if let number = names[path] { return number }
        guard let slash = path.lastIndex(of: "/") else { path = "./" + path; continue }
        let (folder, name) = (String(path[...slash]), path[path.index(after: slash)...])
        if let number = number(name), isOwnDescriptors(folder) { return number }
        guard let target = linkTarget(of: path) else { return nil }
        path = absolute(target, in: folder)
    }
    return nil
}

private func number(_ name: Substring) -> Int32? {
    name.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int32(name) : nil
}

/// Whether `folder` holds the descriptors of this process, whatever it is called.
private func isOwnDescriptors(_ folder: String) -> Bool {
    if folder == "/dev/fd/" || folder == "/proc/self/fd/" { return true }
    // Its number is its own for as long as it is open.
    let number = calling(.open) { open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard number >= 0 else { return false }
    let own = Descriptor(owning: number)
    var (one, other) = (stat(), stat())
    guard calling(.fstat, { fstat(own.number, &one) }) == 0, calling(.stat, { stat(folder, &other) }) == 0 else {
        return false
    }
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino
}
