import Basics
import Glibc

/// A value that several threads of one process share, and may wait for (pthread_mutex_lock(3), pthread_cond_wait(3)).
///
/// It is for a process that has no more to fork: a lock that is held during a fork stays locked in the child.
public final class ConditionLock<Value>: @unchecked Sendable {
    @usableFromInline var value: Value
    @usableFromInline let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    @usableFromInline let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Takes `value`, which no other code may hold.
    @inlinable public init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    @inlinable deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the value. `body` must be short, and must not use this lock.
    @inlinable public func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }

    /// Wakes every waiting thread, so that it calls its `body` again.
    @inlinable public func notify() { pthread_cond_broadcast(condition) }

    /// Waits until `body` returns a result. It is called with exclusive access to the value now, and after each `notify`.
    /// Returns nil when `deadline` comes first.
    @inlinable public func wait<Result>(until deadline: Instant? = nil, _ body: (inout Value) -> Result?) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            guard let deadline else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            let (seconds, attoseconds) = deadline.sinceStart.components
            var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
            if pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { return body(&value) }
        }
    }
}
