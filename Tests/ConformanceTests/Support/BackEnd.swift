import RawWire
import Testing

/// Runs `body` with a server that has topics, a publish socket and a control socket, and says where these two are.
func withPublishing(
    _ arguments: [String] = [], _ body: (ServerProcess, BackEndPlaces) throws -> Void
) throws {
    let directory = try TemporaryDirectory()
    let places = BackEndPlaces(directory)
    try withServer(
        ["--topics", "--publish-socket", places.socket, "--control", places.control] + arguments
    ) { try body($0, places) }
    if !directory.names.isEmpty { throw Unexpected("the server has left \(directory.names)") }
}

/// Where back-ends and operators reach a server.
struct BackEndPlaces {
    let socket: String
    let control: String

    init(_ directory: TemporaryDirectory) {
        socket = directory.file("publish")
        control = directory.file("control")
    }

    var user: Operator { Operator(control: control) }

    /// A back-end that has said HELLO.
    func open() throws -> BackEnd { try BackEnd(try RawPeer.connect(to: .unix(socket))) }
}

/// A back-end on the publish socket: it asks one thing after another.
final class BackEnd {
    let peer: RawPeer
    private var lastID: UInt32 = 0

    /// Says HELLO, and takes WELCOME.
    init(_ peer: RawPeer) throws {
        self.peer = peer
        try peer.send(RawFrame.preface + RawFrame.hello().bytes)
        try peer.takePreface()
        _ = try peer.take(.welcome)
    }

    /// Sends a request and does not wait. Returns its id.
    @discardableResult
    func send(_ command: String, _ payload: [UInt8] = []) throws -> UInt32 {
        lastID += 1
        try peer.send(.request(lastID, Array(command.utf8) + payload))
        return lastID
    }

    /// The text of the answer; throws where it is a failure.
    func ask(_ command: String, _ payload: [UInt8] = []) throws -> String {
        try send(command, payload)
        return try peer.take(.response).text
    }

    /// The code of the failure that comes in place of an answer, and its text.
    func failure(of command: String, _ payload: [UInt8] = []) throws -> (code: RawCode, text: String) {
        try send(command, payload)
        let payload = try peer.take(.failure).payload
        return (RawCode(number: UInt16(bigEndian: payload[...])), String(decoding: payload.dropFirst(8), as: UTF8.self))
    }
}
