/// What one end of a tie says to the other: a kind and a body.
///
/// On the stream a record is the length of what follows (32 bits, big endian), the kind (8 bits) and the body.
protocol RouterRecord: Equatable, Sendable {
    /// Reads the record of a kind out of its body.
    init(kind: UInt8, _ body: inout RecordBody) throws(RecordFault)
    /// The whole record, with its length.
    func encoded() -> [UInt8]
}

/// Why bytes are no record. The tie that they came from is of no use any more.
struct RecordFault: Error, Equatable, CustomStringConvertible {
    /// A sentence for the log.
    let description: String

    init(_ description: String) { self.description = description }
}

/// Cuts the bytes of a stream into records.
///
/// It holds what has come and was not taken. What it yields has memory of its own, so that a payload that waits
/// somewhere does not keep the bytes of other records.
struct RecordReader<Record: RouterRecord> {
    /// The most memory that it keeps while nothing waits in it: a router has a reader for each process.
    private static var mostKept: Int { 4096 }

    /// The longest record, without its length.
    private let most: Int
    private var bytes: [UInt8] = []
    /// Where the next record begins.
    private var head = 0

    /// A reader that refuses records of more than `most` bytes.
    init(most: Int) { self.most = most }

    /// How many bytes wait in it.
    var count: Int { bytes.count - head }

    /// Adds bytes that have come.
    mutating func append(_ more: some Collection<UInt8>) {
        dropTaken()
        bytes.append(contentsOf: more)
    }

    /// Adds bytes that have come into memory of the caller.
    mutating func append(_ more: UnsafeRawBufferPointer) {
        dropTaken()
        bytes.append(contentsOf: more)
    }

    private mutating func dropTaken() {
        guard head > 0 else { return }
        bytes.removeFirst(head)
        head = 0
    }

    /// Takes the next record that has come whole; nil where none has. It is of no use after it has thrown.
    mutating func next() throws(RecordFault) -> Record? {
        guard count >= 4 else {
            releaseMemory()
            return nil
        }
        let length = bytes[head..<(head + 4)].reduce(0) { $0 << 8 | Int($1) }
        guard length <= most else {
            throw RecordFault("a record of \(length) bytes has begun, and at most \(most) are possible")
        }
        guard length > 0 else { throw RecordFault("a record has no bytes, and its kind takes one") }
        guard count >= 4 + length else { return nil }
        let start = head + 4
        head = start + length
        var body = RecordBody(bytes[(start + 1)..<head])
        let record = try Record(kind: bytes[start], &body)
        try body.end()
        return record
    }

    private mutating func releaseMemory() {
        guard head == bytes.count else { return }
        if bytes.capacity > RecordReader.mostKept { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
        head = 0
    }
}

/// The body of a record, from which one field after another is read. Each length in it is judged before it is believed.
struct RecordBody {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    private mutating func take(_ count: Int) throws(RecordFault) -> ArraySlice<UInt8> {
        guard count <= rest.count else {
            throw RecordFault("a record ends \(count - rest.count) bytes before the end of a field")
        }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// A number, big endian.
    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type = Number.self
    ) throws(RecordFault) -> Number {
        try take(MemoryLayout<Number>.size).reduce(0) { $0 << 8 | Number($1) }
    }

    /// A byte that is 0 or 1.
    mutating func flag() throws(RecordFault) -> Bool {
        let byte = try number(UInt8.self)
        guard byte <= 1 else { throw RecordFault("a field is \(byte), and only 0 and 1 are possible") }
        return byte == 1
    }

    /// A text behind its length.
    mutating func text() throws(RecordFault) -> String {
        let count = try number(UInt32.self)
        return String(decoding: try take(Int(count)), as: UTF8.self)
    }

    /// A text that may be missing.
    mutating func textIfAny() throws(RecordFault) -> String? { try flag() ? try text() : nil }

    /// The name of a topic behind its length, which is one byte.
    mutating func topic() throws(RecordFault) -> TopicName {
        guard let name = try topicIfAny() else { throw RecordFault("a topic has no name") }
        return name
    }

    /// The name of a topic; an empty one is none.
    mutating func topicIfAny() throws(RecordFault) -> TopicName? {
        let count = try number(UInt8.self)
        return count == 0 ? nil : TopicName(checked: Array(try take(Int(count))))
    }

    /// Several of one thing behind their number. One of them takes `least` bytes or more.
    mutating func list<Element>(
        least: Int, _ element: (inout RecordBody) throws(RecordFault) -> Element
    ) throws(RecordFault) -> [Element] {
        let count = Int(try number(UInt32.self))
        guard count <= rest.count / least else {
            throw RecordFault("a record has a list of \(count), and \(rest.count) bytes of it")
        }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    /// The numbers of connections.
    mutating func numbers() throws(RecordFault) -> [UInt64] {
        try list(least: 8) { body throws(RecordFault) in try body.number() }
    }

    /// All that is left, in memory of its own.
    mutating func payload() -> ArraySlice<UInt8> {
        defer { rest = [] }
        return Array(rest)[...]
    }

    /// Throws where something is left.
    func end() throws(RecordFault) {
        if !rest.isEmpty { throw RecordFault("a record has \(rest.count) bytes behind its last field") }
    }
}

/// Makes a record, field by field.
struct RecordWriter {
    private var bytes: [UInt8] = []

    /// Begins a record of a kind, and takes memory for the `room` bytes of its body.
    init(_ kind: UInt8, room: Int) {
        bytes.reserveCapacity(5 + room)
        number(UInt32(0))
        bytes.append(kind)
    }

    /// A number, big endian.
    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(_ number: Number) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// A byte that is 0 or 1.
    mutating func flag(_ flag: Bool) { bytes.append(flag ? 1 : 0) }

    /// A text behind its length.
    mutating func text(_ text: String) {
        number(UInt32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// A text that may be missing.
    mutating func textIfAny(_ text: String?) {
        flag(text != nil)
        if let text { self.text(text) }
    }

    /// The name of a topic behind its length; none is an empty one.
    mutating func topic(_ name: TopicName?) {
        bytes.append(UInt8(name?.bytes.count ?? 0))
        if let name { bytes.append(contentsOf: name.bytes) }
    }

    /// The numbers of connections behind their number.
    mutating func numbers(_ numbers: some Collection<UInt64>) {
        number(UInt32(numbers.count))
        for number in numbers { self.number(number) }
    }

    /// Bytes that end the record.
    mutating func payload(_ payload: ArraySlice<UInt8>) { bytes.append(contentsOf: payload) }

    /// The record, with its length. A payload of `count` bytes is yet to follow.
    consuming func finished(payloadOf count: Int = 0) -> [UInt8] {
        let length = UInt32(bytes.count - 4 + count)
        for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index))) }
        return bytes
    }
}
