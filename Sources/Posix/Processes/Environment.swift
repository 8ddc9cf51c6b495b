import Glibc

/// What the variable `name` says, which is then taken out of the environment, so that no other process that is started
/// from here takes it for its own (getenv(3), unsetenv(3)).
public func takeEnvironmentVariable(_ name: String) -> String? {
    defer { unsetenv(name) }
    return environmentVariable(name)
}

/// What the variable `name` says (getenv(3)).
public func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// The directory that relative paths start from (getcwd(3)).
public func currentDirectory() throws(SystemError) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard calling(.getcwd, { getcwd(&buffer, buffer.count) == nil ? -1 : 0 }) == 0 else { throw SystemError("getcwd") }
    return buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
}

/// chdir(2).
public func changeDirectory(to path: String) throws(SystemError) {
    guard calling(.chdir, { chdir(path) }) == 0 else { throw SystemError("chdir") }
}

/// The permissions that new files do not get (umask(2)).
public func setFileCreationMask(_ mask: UInt32) { umask(mode_t(mask)) }

/// A session of its own, away from the terminal (setsid(2)); not for the first process of a group.
public func startSession() throws(SystemError) {
    guard calling(.setsid, { setsid() }) >= 0 else { throw SystemError("setsid") }
}
