import CPosix
import Glibc

/// Stops the timers that execve(2) keeps (setitimer(2), alarm(2)). Returns whether one was running.
public func stopInheritedTimers() -> Bool { cposix_stop_timers() == 1 }

/// Lets waits end within the usual 50 microseconds of their time. Returns whether they were allowed to end later
/// (PR_SET_TIMERSLACK in prctl(2)).
public func resetTimerSlack() -> Bool { cposix_reset_timer_slack() == 1 }

/// Gives the threads that are started from now on stacks of `size` bytes (pthread_setattr_default_np(3)).
public func setThreadStack(_ size: Int) { cposix_set_thread_stack(size) }

/// Takes out of the environment what getenv(3) never finds: entries without a name, and all but the first of one name.
/// Returns how many were taken out. The process has one thread.
public func cleanEnvironment() -> Int { cposix_clean_environment() }

/// The signal that this process gets at the death of its parent process; nil for none (PR_SET_PDEATHSIG in prctl(2)).
/// A change of the user takes it away.
public var deathSignal: Int32? {
    get {
        let signal = cposix_death_signal()
        return signal == 0 ? nil : signal
    }
    set { cposix_set_death_signal(newValue ?? 0) }
}

/// Sets the variable `name`, or removes it where `value` is nil (setenv(3), unsetenv(3)). The process has one thread.
public func setEnvironmentVariable(_ name: String, to value: [UInt8]?) {
    guard let value else {
        unsetenv(name)
        return
    }
    (value + [0]).withUnsafeBytes { bytes in
        _ = setenv(name, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), 1)
    }
}

extension Descriptor {
    /// Whether the descriptor `number` is open, and can be read or written as it is asked (F_GETFL in fcntl(2)).
    public static func isUsable(_ number: Int32, forWriting: Bool) -> Bool {
        let flags = calling(.fcntl) { fcntl(number, F_GETFL) }
        guard flags != -1, flags & __O_PATH == 0 else { return false }
        return flags & O_ACCMODE == O_RDWR || flags & O_ACCMODE == (forWriting ? O_WRONLY : O_RDONLY)
    }

    /// The descriptors from 3 on that this process has from the one that started it: those that stay open in a program
    /// (/proc/self/fd in proc(5)).
    public static func inherited() -> [Int32] {
        candidates().filter {
            let flags = fcntl($0, F_GETFD)
            return $0 > 2 && flags != -1 && flags & FD_CLOEXEC == 0
        }.sorted()
    }

    private static func candidates() -> [Int32] {
        let names = fileNames(in: "/proc/self/fd")
        // Without /proc they are tried one by one.
        guard !names.isEmpty else { return Array(3..<Int32(max(3, min(ProcessLimit.files.current ?? 65536, 65536)))) }
        return names.compactMap { Int32($0) }
    }

    /// Closes descriptors that this process has inherited, and that are nobody's here (close(2)).
    public static func closeInherited(_ numbers: [Int32]) {
        for number in numbers { close(number) }
    }

    /// Puts /dev/null in place of a standard input that cannot be read, and of a standard output or error that cannot be
    /// written to; returns their numbers.
    ///
    /// Otherwise a socket could get one of their numbers, and be written to by mistake. Throws where there is no
    /// descriptor for it.
    public static func replaceUnusableStandardStreams() throws(SystemError) -> [Int32] {
        var replaced: [Int32] = []
        for number: Int32 in 0...2 where !isUsable(number, forWriting: number > 0) {
            let stand = calling(.open) { open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY) }
            guard stand >= 0 else { throw SystemError("open") }
            if stand != number {
                let result = calling(.dup2) { dup2(stand, number) }
                close(stand)
                guard result >= 0 else { throw SystemError("dup2") }
            }
            replaced.append(number)
        }
        return replaced
    }
}
