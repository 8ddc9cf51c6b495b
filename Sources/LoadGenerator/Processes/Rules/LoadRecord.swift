import Framing

/// Bytes from one process of a load generator to another of the same program: numbers of 64 bits, and texts.
struct LoadRecordWriter {
    private(set) var bytes: [UInt8] = []

    mutating func add(_ number: UInt64) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func add(_ number: Int) { add(UInt64(bitPattern: Int64(number))) }
    mutating func add(_ time: Nanoseconds) { add(UInt64(bitPattern: time.count)) }
    mutating func add(_ number: Double) { add(number.bitPattern) }

    mutating func add(_ text: String) {
        add(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    mutating func add(_ histogram: LatencyHistogram) {
        add(histogram.sum)
        add(histogram.least)
        add(histogram.most)
        let used = histogram.used
        add(used.count)
        for (bucket, count) in used {
            add(bucket)
            add(count)
        }
    }

    mutating func add(_ end: LoadConnectionEnd) {
        switch end {
        case .closed(let code): add(0, code)
        case .sentAway(let code): add(1, code)
        case .refused(let code): add(2, code)
        case .unreachable(let error): add(3, error)
        case .endOfStream: add(4)
        case .reset: add(5)
        case .broken(let error): add(6, error)
        case .tls(let error): add(7, error)
        case .dropped(let code): add(8, code)
        case .wrongAnswer: add(9)
        case .timeout: add(10)
        case .cut: add(11)
        case .finished: add(12)
        }
    }

    mutating func add(_ end: LoadRequestEnd) {
        switch end {
        case .failed(let code): add(0, code)
        case .refused(nil): add(1)
        case .refused(let ending?):
            add(2)
            add(ending)
        case .notSent(let ending):
            add(3)
            add(ending)
        case .lost(let ending):
            add(4)
            add(ending)
        }
    }

    private mutating func add(_ kind: Int, _ code: Code) {
        add(kind)
        add(UInt64(code.rawValue))
    }

    private mutating func add(_ kind: Int, _ text: String) {
        add(kind)
        add(text)
    }
}

/// Reads what a `LoadRecordWriter` wrote, in the same order. Other bytes trap: they are a mistake of this program.
struct LoadRecordReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { place == bytes.count }

    mutating func number() -> UInt64 {
        defer { place += 8 }
        return bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
    }

    mutating func integer() -> Int { Int(Int64(bitPattern: number())) }
    mutating func time() -> Nanoseconds { Nanoseconds(Int64(bitPattern: number())) }
    mutating func fraction() -> Double { Double(bitPattern: number()) }

    mutating func text() -> String {
        let count = integer()
        defer { place += count }
        return String(decoding: bytes[place..<(place + count)], as: UTF8.self)
    }

    mutating func histogram() -> LatencyHistogram {
        let (sum, least, most) = (fraction(), time(), time())
        var used: [(bucket: Int, count: UInt64)] = []
        for _ in 0..<integer() { used.append((integer(), number())) }
        return LatencyHistogram(used, sum: sum, least: least, most: most)
    }

    private mutating func code() -> Code { Code(rawValue: UInt16(truncatingIfNeeded: number())) }

    mutating func connectionEnd() -> LoadConnectionEnd {
        switch integer() {
        case 0: .closed(code())
        case 1: .sentAway(code())
        case 2: .refused(code())
        case 3: .unreachable(error: text())
        case 4: .endOfStream
        case 5: .reset
        case 6: .broken(error: text())
        case 7: .tls(error: text())
        case 8: .dropped(code())
        case 9: .wrongAnswer
        case 10: .timeout
        case 11: .cut
        case 12: .finished
        case let kind: preconditionFailure("no end of a connection: \(kind)")
        }
    }

    mutating func requestEnd() -> LoadRequestEnd {
        switch integer() {
        case 0: .failed(code())
        case 1: .refused(nil)
        case 2: .refused(connectionEnd())
        case 3: .notSent(connectionEnd())
        case 4: .lost(connectionEnd())
        case let kind: preconditionFailure("no end of a request: \(kind)")
        }
    }
}
