#if DEBUG
    import Glibc
    import Synchronization

    /// Suspends that a test makes a whole process see. Only debug builds have it.
    ///
    /// The variable LIFELINE_FORCE_SUSPEND names a FIFO (fifo(7)), which takes the place of the timer in `ResumeTimer`. A
    /// line with a number wakes the process, and puts CLOCK_BOOTTIME that many milliseconds ahead. 0 is what setting the
    /// time of day does.
    enum ForcedSuspend {
        private static let milliseconds = Atomic<Int64>(0)

        /// For how long the machine was suspended, as this process is to see it.
        static var total: Duration { .milliseconds(milliseconds.load(ordering: .relaxed)) }

        private static var path: UnsafeMutablePointer<CChar>? { getenv("LIFELINE_FORCE_SUSPEND") }

        /// Closes `timer` and returns the FIFO; returns `timer` without the variable.
        static func descriptor(inPlaceOf timer: Int32) -> Int32 {
            guard let path else { return timer }
            close(timer)
            // With a writer of its own it never comes to its end.
            let number = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            guard number >= 0 else { fatalError("LIFELINE_FORCE_SUSPEND: \(SystemError("open"))") }
            return number
        }

        /// Reads what the test has written; false without the variable.
        static func take(from number: Int32) -> Bool {
            guard path != nil else { return false }
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = max(0, read(number, &buffer, buffer.count))
            for line in String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n") {
                guard let more = Int64(line) else { fatalError("LIFELINE_FORCE_SUSPEND: '\(line)' is no number") }
                milliseconds.add(more, ordering: .relaxed)
            }
            return true
        }
    }
#endif
