import CPosix
import Glibc

/// Carries a thread's closure through the pointer of pthread_create(3).
private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a detached thread in which every signal is blocked (pthread_create(3), pthread_sigmask(3)).
///
/// `name` has up to 15 bytes; tools such as top(1) show it. Throws EAGAIN where the system has no more threads.
public func startThread(named name: String, _ run: @escaping @Sendable () -> Void) throws(SystemError) {
    let body = Unmanaged.passRetained(
        ThreadBody {
            cposix_name_thread(name)
            run()
        })
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    // The new thread inherits the mask, so there is no moment at which it takes a signal.
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let code = returningError(.createThread) {
        pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<ThreadBody>.fromOpaque(pointer!).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
    }
    guard code == 0 else {
        body.release()
        throw SystemError("pthread_create", code)
    }
    pthread_detach(thread)
}

/// Whether this process may have `count` threads more at a time, at most 16. Throws what pthread_create(3) says where it
/// may not: Swift's pool of threads would wait for ever for what the system does not give.
public func tryThreads(_ count: Int) throws(SystemError) {
    let code = returningError(.createThread) { cposix_try_threads(Int32(count)) }
    guard code == 0 else { throw SystemError("pthread_create", code) }
}

/// The calling thread, comparable with another (pthread_self(3)).
public var currentThread: UInt { UInt(pthread_self()) }
