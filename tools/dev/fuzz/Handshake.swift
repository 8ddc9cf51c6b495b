/// HELLO and WELCOME of any bytes: what is understood is encoded to what is understood as the same, and every answer to
/// a HELLO is one that its sender accepts.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHandshake(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    let setting = script.byte()
    let timeout = max(Limits.leastDeadAfter, script.word())
    let heartbeat = setting & 2 == 0 ? Limits.defaultHeartbeat : Limits.leastPingEvery + UInt32(setting)
    let payload = script.rest()
    let side: Side = setting & 1 == 0 ? .client : .server
    let first = decode(Preface.bytes + rawFrame(side == .client ? 1 : 2, payload), from: side)
    switch first {
    case .hello(let hello):
        var bytes = Preface.bytes
        hello.append(to: &bytes)
        require(decode(bytes, from: .client) == first, "HELLO is not the same")
        let terms = Terms(timeout: timeout, heartbeat: heartbeat, credit: setting & 4 == 0 ? nil : 300)
        let welcome = negotiate(hello, with: terms, connection: 1)
        var answer = Preface.bytes
        welcome.append(to: &answer)
        require(decode(answer, from: .server) == .welcome(welcome), "a client refuses \(welcome)")
        require(welcome.minor == min(hello.minor, 1), "the version 1.\(welcome.minor) for 1.\(hello.minor)")
        require((try? welcome.check(against: hello)) != nil, "\(welcome) is no answer to \(hello)")
    case .welcome(let welcome):
        var bytes = Preface.bytes
        welcome.append(to: &bytes)
        require(decode(bytes, from: .server) == first, "WELCOME is not the same")
    default: break
    }
    return 0
}

private func decode(_ bytes: [UInt8], from side: Side) -> Frame? {
    var decoder = FrameDecoder(from: side, maxFrame: 16384, maxMessage: 16384)
    var offset = 0
    return try? decoder.next(in: bytes.span, at: &offset)
}
