import Glibc

/// Returns the value of the variable `name`, and removes the variable, so that no program that is started from here takes
/// it for its own (getenv(3), unsetenv(3)).
public func takeEnvironmentVariable(_ name: String) -> String? {
    defer { unsetenv(name) }
    return environmentVariable(name)
}

/// The value of the variable `name`; nil where it is not set (getenv(3)).
public func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// The directory that relative paths start from (getcwd(3)). Throws ENOENT where it was removed, and EILSEQ where its name is
/// not UTF-8: another one would be meant.
public func currentDirectory() throws(SystemError) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard calling(.getcwd, { getcwd(&buffer, buffer.count) == nil ? -1 : 0 }) == 0 else { throw SystemError("getcwd") }
    guard let path = buffer.withUnsafeBufferPointer({ String(validatingCString: $0.baseAddress!) }) else {
        throw SystemError("getcwd", EILSEQ)
    }
    return path
}

/// Makes `path` the directory that relative paths start from (chdir(2)).
public func changeDirectory(to path: String) throws(SystemError) {
    guard calling(.chdir, { chdir(path) }) == 0 else { throw SystemError("chdir") }
}

/// Sets the permissions that new files do not get (umask(2)).
public func setFileCreationMask(_ mask: UInt32) { umask(mode_t(mask)) }

/// Moves this process to a session of its own, without a terminal (setsid(2)). Throws EPERM in a group's leader.
public func startSession() throws(SystemError) {
    guard calling(.setsid, { setsid() }) >= 0 else { throw SystemError("setsid") }
}
