#if DEBUG
    import CPosix
    import Glibc
    import Synchronization

    /// What a test makes a system call return once. Only debug builds have it.
    package enum ForcedResult: Equatable, Sendable {
        /// The call fails with this errno, without a call of the kernel.
        case error(Int32)
        /// The kernel moves up to this many bytes: a short read or write.
        case short(Int)
        /// The result of the kernel.
        case real
    }

    /// Runs `body`. Meanwhile the next calls of `call` in this thread return `results`, one after another. Later calls
    /// reach the kernel.
    ///
    /// Nest it to force several calls.
    @discardableResult
    package func withForced<Result: ~Copyable, Failure: Error>(
        _ call: SystemCall, _ results: ForcedResult..., body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let outer = ForcedResults.ofThread
        ForcedResults.ofThread = ForcedResults([call: results], outer: outer)
        defer { ForcedResults.ofThread = outer }
        return try body()
    }

    /// The forced results that are left: those of a thread (`withForced`), or those of a whole process.
    ///
    /// A process reads its own from the variable LIFELINE_FORCE_ERRNO: a list of CALL:RESULT:TIMES, separated by commas.
    /// RESULT is the name of an errno, a number of bytes for a short count, or OK for the result of the kernel. TIMES is 1
    /// where it is missing. `accept:OK:2,accept:EMFILE` makes the third accept(2) fail. A child inherits what is left.
    final class ForcedResults: Sendable {
        private let queues: Mutex<[SystemCall: ArraySlice<ForcedResult>]>
        private let outer: ForcedResults?

        fileprivate init(_ results: [SystemCall: [ForcedResult]], outer: ForcedResults? = nil) {
            queues = Mutex(results.mapValues { $0[...] })
            self.outer = outer
        }

        /// Those of the innermost `withForced` of this thread.
        fileprivate static var ofThread: ForcedResults? {
            get { pthread_getspecific(key).map { Unmanaged.fromOpaque($0).takeUnretainedValue() } }
            set {
                let old = pthread_getspecific(key)
                pthread_setspecific(key, newValue.map { UnsafeRawPointer(Unmanaged.passRetained($0).toOpaque()) })
                if let old { Unmanaged<ForcedResults>.fromOpaque(old).release() }
            }
        }

        private static let key = {
            var key = pthread_key_t()
            pthread_key_create(&key, nil)
            return key
        }()

        /// Those of the whole process; nil without the variable.
        private static let ofProcess = getenv("LIFELINE_FORCE_ERRNO").map { ForcedResults(String(cString: $0)) }

        /// The errno that `call` fails with; nil where the kernel is called.
        static func error(of call: SystemCall) -> Int32? {
            switch result(of: call) {
            case .error(let code): return code
            case .real: return nil
            case .short: fatalError("\(call.rawValue) moves no bytes, so it has no short count")
            }
        }

        /// The error of `call`, which moves up to `count` bytes, or how many bytes the kernel is given.
        static func transfer(of call: SystemCall, _ count: Int) -> ForcedResult {
            switch result(of: call) {
            case .error(let code): .error(code)
            case .real: .short(count)
            case .short(let most): .short(min(most, count))
            }
        }

        private static func result(of call: SystemCall) -> ForcedResult {
            (ofThread ?? ofProcess)?.next(of: call) ?? .real
        }

        /// Takes the next result of `call`; nil where none is left.
        func next(of call: SystemCall) -> ForcedResult? {
            queues.withLock { $0[call]?.popFirst() } ?? outer?.next(of: call)
        }
    }

    extension ForcedResults {
        /// Reads the value of LIFELINE_FORCE_ERRNO. Traps on a value that is malformed.
        convenience init(_ text: String) {
            var results: [SystemCall: [ForcedResult]] = [:]
            for rule in text.split(separator: ",") {
                let parts = rule.split(separator: ":")
                guard (2...3).contains(parts.count), let call = SystemCall(rawValue: String(parts[0])),
                    let result = ForcedResults.result(parts[1]), let times = parts.count == 3 ? Int(parts[2]) : 1
                else { fatalError("LIFELINE_FORCE_ERRNO: '\(rule)' is not CALL:RESULT:TIMES") }
                results[call, default: []] += Array(repeating: result, count: times)
            }
            self.init(results)
        }

        private static func result(_ text: Substring) -> ForcedResult? {
            if text == "OK" { return .real }
            if let count = Int(text) { return .short(count) }
            let code = (1...133).first { code in cposix_error_name(code).map { String(cString: $0) == text } ?? false }
            return code.map(ForcedResult.error)
        }
    }
#endif
