/// How many connections the limits of a system allow, each on its own, and which of them stops a server first.
public struct Capacity: Sendable {
    /// One limit of the system, and what connections cost of it.
    struct Bound: Equatable, Sendable {
        /// As the system calls it.
        let name: String
        /// Nil for none.
        let limit: UInt64?
        /// What others, or the server without connections, use of it.
        let used: UInt64
        /// What one connection costs of it; 0 where it only has to be there.
        let each: UInt64
        /// Where it is raised.
        let remedy: String
        var isBytes = false

        /// How many connections it allows; nil for any number.
        var connections: UInt64? {
            guard let limit else { return nil }
            guard limit >= used else { return 0 }
            return each == 0 ? nil : (limit - used) / each
        }
    }

    /// How many there shall be.
    let wanted: UInt64
    let bounds: [Bound]
    /// What stops no connection, and is worth knowing.
    let remarks: [String]

    /// The one that allows the fewest.
    var first: Bound? {
        bounds.filter { $0.connections != nil }.min { $0.connections! < $1.connections! }
    }

    /// Whether all connections that `ServerOptions.maxConnections` asks for are possible.
    public var isEnough: Bool { first.map { $0.connections! >= wanted } ?? true }

    /// A table with a line for each limit, remarks, and at the end which of them comes first; for a person.
    public var report: String {
        let rows = [["limit", "value", "in use", "for each", "connections"]] + bounds.map(Capacity.row)
        let widths = (0..<5).map { column in rows.map { $0[column].count }.max()! }
        let table = rows.map { row in
            row.enumerated().map { column, text in
                let space = String(repeating: " ", count: widths[column] - text.count)
                return column == 0 ? text + space : space + text
            }.joined(separator: "  ")
        }
        return (table + [""] + remarks + [verdict]).joined(separator: "\n")
    }

    private static func row(_ bound: Bound) -> [String] {
        func text(_ amount: UInt64) -> String { bound.isBytes ? bytes(amount) : "\(amount)" }
        return [
            bound.name, bound.limit.map(text) ?? "none", text(bound.used), bound.each == 0 ? "-" : text(bound.each),
            bound.connections.map { "\($0)" } ?? "any",
        ]
    }

    /// Whole KiB, or MiB from 10 of them on.
    private static func bytes(_ amount: UInt64) -> String {
        amount >= 10 << 20 ? "\(amount >> 20) MiB" : "\(amount >> 10) KiB"
    }

    private var verdict: String {
        guard let first, let connections = first.connections else {
            return "--max-connections \(wanted) is possible, and no limit here stops more."
        }
        return isEnough
            ? "--max-connections \(wanted) is possible. More are stopped by \(first.name) first, at \(connections)."
            : "--max-connections \(wanted) is not possible: \(first.name) stops it at \(connections). "
                + "Raise it (\(first.remedy)), or lower --max-connections."
    }
}
