import Basics
import Glibc
import Synchronization

/// A value that several threads of one process share, and may wait for (pthread_mutex_lock(3), pthread_cond_wait(3)).
///
/// It is for a process that has no more to fork: a lock that is held during a fork stays locked in the child.
public final class ConditionLock<Value>: @unchecked Sendable {
    @usableFromInline var value: Value
    @usableFromInline let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// Made by the first thread that waits: most values are never waited for.
    @usableFromInline let condition = Atomic<UnsafeMutablePointer<pthread_cond_t>?>(nil)

    /// Takes `value`, which no other code may hold.
    @inlinable public init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
    }

    @inlinable deinit {
        if let condition = condition.load(ordering: .acquiring) {
            pthread_cond_destroy(condition)
            condition.deallocate()
        }
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the value. `body` must be short, and must not use this lock.
    @inlinable public func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }

    /// Wakes every waiting thread, so that it calls its `body` again: behind the `withLock` that has changed the value.
    @inlinable public func notify() {
        // A thread that waits has made the condition with the lock, and so before the value was changed.
        if let condition = condition.load(ordering: .acquiring) { pthread_cond_broadcast(condition) }
    }

    /// Waits until `body` returns a result. It is called with exclusive access to the value now, and after each `notify`.
    /// Returns nil when `deadline` comes first.
    @inlinable public func wait<Result>(until deadline: Instant? = nil, _ body: (inout Value) -> Result?) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&value) { return result }
            let condition = condition.load(ordering: .relaxed) ?? makeCondition()
            guard let deadline else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            let (seconds, attoseconds) = deadline.sinceStart.components
            var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
            if pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { return body(&value) }
        }
    }

    @usableFromInline func makeCondition() -> UnsafeMutablePointer<pthread_cond_t> {
        let made = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(made, &attributes)
        pthread_condattr_destroy(&attributes)
        condition.store(made, ordering: .releasing)
        return made
    }
}
