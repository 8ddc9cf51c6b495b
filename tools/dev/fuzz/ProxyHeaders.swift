/// Any chopping gives the same header behind the same byte, or an error at the same byte; nothing is held for a length that
/// is only claimed; and a name that is proved stands in the header as it is.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProxyHeaders(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    let setting = script.byte()
    let seed = script.byte()
    var bytes = script.rest()
    switch setting % 4 {
    case 1: bytes = Array("PROXY ".utf8) + bytes
    case 2: bytes = ProxyBinaryHeader.signature + bytes
    // The length fits, and so does a checksum where one stands last.
    case 3: bytes = fitted(bytes)
    default: break
    }

    /// What comes of the bytes: the header and the bytes that it took, or how many had come before the error.
    func decode(_ size: (Int) -> Int) -> (header: ProxyHeader?, taken: Int, error: ProxyHeaderError?) {
        var decoder = ProxyHeaderDecoder()
        var position = 0
        var turn = 0
        let before = heapBytes()
        while position < bytes.count {
            let end = min(bytes.count, position + max(1, size(turn)))
            do throws(ProxyHeaderError) {
                switch try decoder.take(bytes[position..<end]) {
                case .needsMore:
                    require(decoder.received == end, "it has not taken all")
                    let held = heapBytes() - before
                    require(held <= 4 * end + 4096, "\(held) bytes are held for \(end)")
                case .whole(let header, let taken):
                    require((1...(end - position)).contains(taken), "it took \(taken) of \(end - position)")
                    require(decoder.received == position + taken, "it counts otherwise")
                    return (header, position + taken, nil)
                }
            } catch {
                return (nil, decoder.received, error)
            }
            position = end
            turn += 1
        }
        return (nil, position, nil)
    }

    let whole = decode { _ in bytes.count }
    for size in [{ _ in 1 }, { turn in Int(seed &* 31 &+ UInt8(truncatingIfNeeded: turn) &* 17) % 40 }] as [(Int) -> Int] {
        let chopped = decode(size)
        require(chopped.header == whole.header && chopped.taken == whole.taken, "another header")
        // What is no header at all is quoted as far as it has come.
        let quotes = whole.error?.text.hasPrefix("a header of the PROXY protocol was expected") ?? false
        require(
            quotes ? chopped.error != nil : chopped.error == whole.error,
            "another error: \(chopped.error?.text ?? "none")")
    }
    if let error = whole.error {
        require(error.text.utf8.count <= 512, "an error that CLOSE has no room for")
        require(error.text.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "an error with foreign bytes")
    }
    if let header = whole.header {
        require(whole.taken <= (header.version == 1 ? 107 : 16 + 4096), "a header of \(whole.taken) bytes")
        require((header.source == nil) == (header.destination == nil), "one end without the other")
        require(header.command == .proxy || header == ProxyHeader(version: 2, command: .local), "LOCAL says something")
        for name in [header.tls?.provedName, header.authority].compactMap(\.self) {
            let text = Array(name.utf8)
            require(!text.isEmpty && !text.contains { $0 < 0x20 || $0 == 0x7F }, "a name that is no plain text")
            require(contains(bytes[..<whole.taken], text), "a name that was changed")
        }
    }
    return 0
}

private func contains(_ bytes: ArraySlice<UInt8>, _ part: [UInt8]) -> Bool {
    bytes.indices.contains { bytes[$0...].starts(with: part) }
}

/// Version 2 with bytes behind its signature of which the length, and a last field that is a checksum, are made right.
private func fitted(_ rest: [UInt8]) -> [UInt8] {
    var bytes = ProxyBinaryHeader.signature + rest
    guard bytes.count >= 16 else { return bytes }
    bytes[14] = UInt8(truncatingIfNeeded: (bytes.count - 16) >> 8)
    bytes[15] = UInt8(truncatingIfNeeded: bytes.count - 16)
    guard bytes.count >= 23, bytes[(bytes.count - 7)...].starts(with: [3, 0, 4]) else { return bytes }
    for index in (bytes.count - 4)..<bytes.count { bytes[index] = 0 }
    let checksum = crc32c(bytes)
    for (place, shift) in zip((bytes.count - 4)..<bytes.count, [24, 16, 8, 0] as [UInt32]) {
        bytes[place] = UInt8(truncatingIfNeeded: checksum >> shift)
    }
    return bytes
}
