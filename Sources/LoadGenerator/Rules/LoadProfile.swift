import Basics
import Framing

/// A place for a request without an answer.
struct RequestSlot {
    /// The request's id; 0 where the place is free.
    var id: UInt32 = 0
    /// Bytes of the answer that have arrived.
    var received: UInt32 = 0
    var due = Nanoseconds.zero
    var sent = Nanoseconds.zero
}

/// Constants that all connections of a run share.
struct LoadProfile {
    let options: LoadOptions
    /// Preface and HELLO.
    let greeting: [UInt8]
    /// The bytes of every request; never freed.
    let payload: UnsafeRawBufferPointer
    /// One less than the number of slots of each connection, which is a power of two.
    let mask: UInt32

    var timeout: Nanoseconds { Nanoseconds(options.timeout) }

    init(_ options: LoadOptions) {
        self.options = options
        func milliseconds(_ duration: Duration) -> UInt32 { UInt32(clamping: Int64(duration / .milliseconds(1))) }
        var outbox = Outbox()
        outbox.greet(
            Hello(
                short: options.isShort, pingEvery: milliseconds(options.pingEvery),
                deadAfter: milliseconds(options.deadAfter), maxMessage: .max,
                options: Options(token: options.token, name: options.name, agent: "lifeline-bench/\(lifelineVersion)")))
        greeting = Array(outbox.unsent)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, options.size), alignment: 16)
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: 32 + index % 95) }
        payload = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<options.size])
        mask =
            UInt32(max(1, options.isShort ? 1 : options.inFlight) - 1)
            .nextPowerOfTwoMask
    }
}

extension UInt32 {
    fileprivate var nextPowerOfTwoMask: UInt32 { self == 0 ? 0 : ~0 >> UInt32(leadingZeroBitCount) }
}
