import Basics
import Arguments
import LifelineServer
import Posix

/// Asks a running server on its control socket; each question is a connection of its own.
struct ControlClient {
    /// Where `server ctl` looks without `--control`.
    static let defaultPath = "/run/lifeline/control"
    /// How long the server may be silent.
    private static let patience = Duration.seconds(5)
    /// A line of an answer is shorter.
    private static let longestLine = 65536

    /// Why there is no answer.
    struct Trouble: Error {
        let status: ExitStatus
        let text: String
        /// Whether nobody listens there.
        var isNobody = false
    }

    /// The rows, and the last line that says how it went.
    struct Answer {
        var rows: [JSONObject] = []
        var verdict: JSONObject
    }

    let path: String

    /// Throws where there is no answer, and what the server says where it refuses.
    func ask(_ request: ControlRequest) throws(Trouble) -> Answer {
        guard let address = SocketAddress(host: "unix:\(path)", port: 0) else {
            throw Trouble(status: .usage, text: "--control '\(path)' is not the path of a Unix socket: 1 to 107 bytes")
        }
        let whole: Answer?
        do throws(SystemError) {
            let socket = try Descriptor.connecting(to: address)
            _ = try socket.send(Array(request.line.utf8)[...])
            whole = try read(socket)
        } catch {
            throw trouble(error)
        }
        guard let answer = whole else {
            throw Trouble(status: .protocolError, text: "the server at \(path) did not answer in time, or not as one")
        }
        guard answer.verdict.isTrue("ok") else {
            let statuses: [String: ExitStatus] = ["bad_request": .usage, "forbidden": .noPermission]
            throw Trouble(
                status: statuses[answer.verdict.text("error") ?? ""] ?? .unavailable,
                text: answer.verdict.text("text") ?? "the server refuses")
        }
        return answer
    }

    private func trouble(_ error: SystemError) -> Trouble {
        if error.isNobodyThere {
            return Trouble(
                status: .unavailable, text: "no server answers at \(path): is it started with --control \(path)?",
                isNobody: true)
        }
        let hint = error.isPermissionDenied ? "; only the server's owner and root may ask" : ""
        return Trouble(
            status: error.isPermissionDenied ? .noPermission : .osError,
            text: "cannot ask the server at \(path): \(error.text) (\(error.call))\(hint)")
    }

    private func read(_ socket: borrowing Descriptor) throws(SystemError) -> Answer? {
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
        return Answer(rows: lines, verdict: verdict)
    }
}
