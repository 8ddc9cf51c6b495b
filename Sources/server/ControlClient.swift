import Basics
import Arguments
import LifelineServer
import Posix

/// An answer that a server did not give, or gave as a refusal.
struct ControlError: Error {
    let status: ExitStatus
    let text: String
    /// Whether no server listens at the path.
    var isUnattended = false
}

/// What a server answered: the rows, and the last line that says whether it did what was asked.
struct ControlReply {
    var rows: [JSONObject] = []
    var verdict: JSONObject
}

/// Asks a running server on its control socket; each request is a connection of its own.
struct ControlClient {
    /// The path that `server ctl` uses without `--control`.
    static let defaultPath = "/run/lifeline/control"
    /// The longest silence of the server.
    private static let patience = Duration.seconds(5)
    /// A line of an answer is shorter.
    private static let longestLine = 65536

    let path: String

    /// Sends the request and returns the answer. Throws where there is none, and what the server says where it refuses.
    func ask(_ request: ControlRequest) throws(ControlError) -> ControlReply {
        let socket = try connect()
        let whole: ControlReply?
        do throws(SystemError) {
            _ = try socket.send(Array(request.line.utf8)[...])
            whole = try read(socket)
        } catch {
            throw failure(error)
        }
        guard let answer = whole else { throw noAnswer }
        try ControlClient.check(answer.verdict)
        return answer
    }

    /// A connection to the server.
    func connect() throws(ControlError) -> Descriptor {
        guard let address = SocketAddress(host: "unix:\(path)", port: 0) else {
            throw ControlError(
                status: .usage, text: "--control '\(path)' is not the path of a Unix socket: 1 to 107 bytes")
        }
        do throws(SystemError) { return try Descriptor.connecting(to: address) } catch { throw failure(error) }
    }

    /// Throws what the server says where it refuses.
    static func check(_ verdict: JSONObject) throws(ControlError) {
        guard !verdict.isTrue("ok") else { return }
        let statuses: [String: ExitStatus] = ["bad_request": .usage, "forbidden": .noPermission]
        throw ControlError(
            status: statuses[verdict.text("error") ?? ""] ?? .unavailable,
            text: verdict.text("text") ?? "the server refuses")
    }

    var noAnswer: ControlError {
        ControlError(status: .protocolError, text: "the server at \(path) did not answer in time, or not as one")
    }

    func failure(_ error: SystemError) -> ControlError {
        if error.isNobodyThere {
            return ControlError(
                status: .unavailable, text: "no server answers at \(path): is it started with --control \(path)?",
                isUnattended: true)
        }
        let hint = error.isPermissionDenied ? "; only the server's owner and root may ask" : ""
        return ControlError(
            status: error.isPermissionDenied ? .noPermission : .osError,
            text: "cannot ask the server at \(path): \(error.text) (\(error.call))\(hint)")
    }

    private func read(_ socket: borrowing Descriptor) throws(SystemError) -> ControlReply? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var lines: [JSONObject] = []
        var line: [UInt8] = []
        reading: while true {
            var entries = [PollEntry(socket.number)]
            guard try poll(&entries, until: .now + ControlClient.patience) > 0 else { return nil }
            switch try socket.receive(into: &buffer) {
            case .wouldBlock: continue
            case .end: break reading
            case .bytes(let count):
                for byte in buffer[..<count] {
                    guard byte == 0x0A else {
                        line.append(byte)
                        continue
                    }
                    guard let object = JSONObject(line: line), line.count < ControlClient.longestLine else {
                        return nil
                    }
                    lines.append(object)
                    line.removeAll(keepingCapacity: true)
                }
            }
        }
        guard let verdict = lines.popLast(), verdict["ok"] != nil else { return nil }
        return ControlReply(rows: lines, verdict: verdict)
    }
}
