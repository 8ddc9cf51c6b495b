/// A text under construction, in bytes. Up to 1024 bytes lie on the stack.
///
/// So a process that has just been forked allocates nothing for it, and writes to no further page.
package struct TextBuffer: ~Copyable {
    /// The bytes on the stack. Swift allocates no more than this there.
    private static var firstSize: Int { 1024 }

    private var memory: UnsafeMutablePointer<UInt8>
    private var size: Int
    private var isOnHeap = false
    /// The most bytes of the text. What has no room is left out.
    package let most: Int
    package private(set) var count = 0

    private init(_ memory: UnsafeMutableBufferPointer<UInt8>, most: Int) {
        self.memory = memory.baseAddress!
        size = memory.count
        self.most = most
    }

    deinit { if isOnHeap { memory.deallocate() } }

    /// Calls `body` with an empty buffer for a text of up to `most` bytes.
    package static func with(most: Int = .max, _ body: (consuming TextBuffer) -> Void) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: TextBuffer.firstSize) {
            body(TextBuffer($0, most: most))
        }
    }

    /// The text that `make` puts together, as a String.
    package static func string(_ make: (inout TextBuffer) -> Void) -> String {
        var string = ""
        with { text in
            var text = text
            make(&text)
            text.withBytes { string = String(decoding: $0, as: UTF8.self) }
        }
        return string
    }

    /// How many bytes can still follow.
    package var room: Int { most - count }

    /// Calls `body` with the bytes of the text, which are valid until it returns.
    package borrowing func withBytes(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        body(UnsafeBufferPointer(start: memory, count: count))
    }

    /// Makes room for up to `wanted` bytes, and returns for how many there is room.
    @inline(__always)
    private mutating func makeRoom(_ wanted: Int) -> Int {
        if count + wanted <= min(size, most) { return wanted }
        return grow(by: min(wanted, room))
    }

    private mutating func grow(by wanted: Int) -> Int {
        guard count + wanted > size else { return wanted }
        size = min(max(2 * size, count + wanted), most)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
        larger.update(from: memory, count: count)
        if isOnHeap { memory.deallocate() }
        memory = larger
        isOnHeap = true
        return wanted
    }

    package mutating func put(_ byte: UInt8) {
        guard makeRoom(1) == 1 else { return }
        memory[count] = byte
        count += 1
    }

    package mutating func put(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress else { return }
        let fitting = makeRoom(bytes.count)
        (memory + count).update(from: start, count: fitting)
        count += fitting
    }

    package mutating func put(_ text: String) {
        var text = text
        text.withUTF8 { put($0) }
    }

    /// Appends a number in decimal, with leading zeros up to `digits`. Appends nothing where it has no room.
    package mutating func put(decimal number: UInt64, digits least: Int = 1) {
        var digits = 1
        var rest = number
        while rest >= 10 {
            digits += 1
            rest /= 10
        }
        digits = max(digits, least)
        guard makeRoom(digits) == digits else { return }
        rest = number
        let start = count
        count += digits
        var place = count
        while place > start {
            place -= 1
            memory[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// Appends a number in lower-case hexadecimal, likewise.
    package mutating func put(hex number: UInt32, digits least: Int = 1) {
        let digits = max(least, (35 - number.leadingZeroBitCount) / 4)
        guard makeRoom(digits) == digits else { return }
        for place in 0..<digits {
            let digit = UInt8(truncatingIfNeeded: number >> UInt32(4 * (digits - 1 - place)) & 0xF)
            memory[count + place] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
        }
        count += digits
    }
}
