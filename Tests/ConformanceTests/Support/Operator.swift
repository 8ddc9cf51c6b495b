import Foundation
import RawWire

/// A directory of its own for a control socket, whose path is short enough for one; removed afterwards.
func withControl(mode: mode_t = 0o755, _ body: (String) throws -> Void) throws {
    var template = Array("/tmp/lifeline-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw systemError("mkdtemp") }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    chmod(directory, mode)
    defer {
        unlink("\(directory)/control")
        rmdir(directory)
    }
    try body("\(directory)/control")
}

/// `server ctl` and `server status`, as an operator types them.
struct Operator {
    let control: String
    var prefix: [String] = []

    /// Runs `server ctl` to its end; throws where it does not end with `status`.
    @discardableResult
    func ctl(_ words: String..., status: Int32 = 0) throws -> String {
        try run(["ctl", "--control", control] + words, status)
    }

    /// Runs `server status`.
    @discardableResult
    func status(_ words: String..., status: Int32 = 0) throws -> String {
        try run(["status"] + (words.isEmpty ? ["--control", control] : words), status)
    }

    private func run(_ arguments: [String], _ status: Int32) throws -> String {
        let command = try Spawned("server", arguments, prefix: prefix)
        let exit = try command.wait(within: .seconds(20))
        guard exit == .status(status) else {
            throw Unexpected("\(arguments) ended with \(exit): \(command.errors.textSoFar)")
        }
        _ = command.output.waitForEnd()
        _ = command.errors.waitForEnd()
        return command.output.textSoFar + command.errors.textSoFar
    }

    /// What a command says in JSON, a line each.
    func json(_ words: String...) throws -> [[String: Any]] {
        let text = try run(["ctl", "--control", control, "--json"] + words, 0)
        return try text.split(separator: "\n").map { line in
            guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
                throw Unexpected("no object: \(line)")
            }
            return object
        }
    }

    /// The connections that there are once `condition` holds of them.
    func connections(when condition: ([[String: Any]]) -> Bool) throws -> [[String: Any]] {
        var rows: [[String: Any]] = []
        let isSo = try eventually(within: .seconds(10)) {
            rows = try json("connections")
            return condition(rows)
        }
        guard isSo else { throw Unexpected("not so of \(rows)") }
        return rows
    }
}

/// What a server tells Prometheus, read byte by byte.
struct Scraper {
    let address: Address

    /// Of a server that was started with `--metrics 127.0.0.1:0`.
    init(_ server: ServerProcess) throws {
        let line = try server.log.line(with: " listening ", " metrics=")
        let word = line.split(separator: " ").first { $0.hasPrefix("metrics=") }?.dropFirst("metrics=".count)
        guard let address = word.flatMap({ Address($0) }) else { throw Unexpected("no address of metrics in \(line)") }
        self.address = address
    }

    /// All that is answered to `request`, to the end of the stream.
    func answer(to request: String) throws -> String {
        let peer = try RawPeer.connect(to: address)
        try peer.send(Array(request.utf8))
        let deadline = SuspendingClock.now + .seconds(10)
        while peer.ending == nil {
            guard try peer.read(until: deadline) else { throw Unexpected("the answer did not end") }
        }
        guard peer.ending == .end else { throw Unexpected("the answer was cut off by a reset") }
        return String(decoding: peer.unread, as: UTF8.self)
    }

    /// The samples by their names with labels, without the prefix of this project.
    func samples() throws -> [String: Double] {
        let answer = try answer(to: "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        guard answer.hasPrefix("HTTP/1.1 200 OK\r\n") else { throw Unexpected(answer) }
        var all: [String: Double] = [:]
        // Swift takes the CR LF of the head for one letter.
        for line in answer.split(whereSeparator: \.isNewline) where line.hasPrefix("lifeline_") {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                throw Unexpected("no sample: \(line)")
            }
            all[String(line[..<space].dropFirst("lifeline_".count))] = value
        }
        return all
    }
}

extension [String: Double] {
    /// The sum of a family over its labels.
    func sum(_ family: String) -> Double {
        filter { $0.key == family || $0.key.hasPrefix("\(family){") }.values.reduce(0, +)
    }
}
