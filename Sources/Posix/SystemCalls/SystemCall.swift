import Glibc

/// A call of the kernel, by the name of its man page.
///
/// Each wrapper of this module names the call that it makes, where it looks at the result. So a test of a debug build can
/// choose what the call returns (`withForced`). In a release build `calling` and its like compile to the call alone.
package enum SystemCall: String, CaseIterable, Sendable {
    case accept, bind, connect, getsockname, getsockopt, listen, setsockopt, socket, socketpair
    case recv, recvmsg, send, sendmsg
    case chown, fcntl, fstat, ftruncate, lstat, open, pipe, pread, pwrite, read, stat, unlink, write
    case dup2, eventfd, ioctl, signalfd
    case timerfd = "timerfd_create"
    case epollCreate = "epoll_create1"
    case epollControl = "epoll_ctl"
    case epollWait = "epoll_wait"
    case preciseEpollWait = "epoll_pwait2"
    case poll
    case execve, fork, kill, waitid, waitpid
    case chdir, getcwd, prctl, setgid, setgroups, setsid, setuid
    case mmap
    case createThread = "pthread_create"
}

/// Makes `call`, which returns -1 and sets errno where it fails.
@inline(__always)
func calling<Result: SignedInteger>(_ call: SystemCall, _ body: () -> Result) -> Result {
    #if DEBUG
        if let code = ForcedResults.error(of: call) {
            errno = code
            return -1
        }
    #endif
    return body()
}

/// Makes `call`, and makes it again as often as a signal interrupts it (EINTR).
@inline(__always)
func retryingInterrupted<Result: SignedInteger>(_ call: SystemCall, _ body: () -> Result) -> Result {
    while true {
        let result = calling(call, body)
        if result != -1 || errno != EINTR { return result }
    }
}

/// Makes `call`, which moves up to `count` bytes, and makes it again as often as a signal interrupts it (EINTR). `body`
/// gets the count that it hands to the kernel.
@inline(__always)
func transferring(_ call: SystemCall, _ count: Int, _ body: (Int) -> Int) -> Int {
    while true {
        #if DEBUG
            let forced = ForcedResults.transfer(of: call, count)
            if case .error(let code) = forced {
                errno = code
            }
            let result = if case .short(let most) = forced { body(most) } else { -1 }
        #else
            let result = body(count)
        #endif
        if result != -1 || errno != EINTR { return result }
    }
}

/// Makes `call`, which returns nil and sets errno where it fails.
@inline(__always)
func mapping(_ call: SystemCall, _ body: () -> UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    #if DEBUG
        if let code = ForcedResults.error(of: call) {
            errno = code
            return nil
        }
    #endif
    return body()
}

/// Makes `call`, which returns its error, or 0 (pthreads(7)).
@inline(__always)
func returningError(_ call: SystemCall, _ body: () -> Int32) -> Int32 {
    #if DEBUG
        if let code = ForcedResults.error(of: call) { return code }
    #endif
    return body()
}
