import Basics

/// The rows of `connections` for people: filtered, sorted, and in columns.
package struct ConnectionTable: Sendable {
    /// What rows are sorted by: texts and ids rise, numbers fall, so that what stands out comes first.
    package enum Order: String, CaseIterable, Sendable {
        case id, pid, peer, name, state, age, heard, rtt, inFlight = "in-flight", requests, bytes
    }

    /// By what it is sorted.
    package var order = Order.id
    /// Only rows in which this is a part of the peer, and of the name; and only those of the state.
    package var peer: String?
    package var name: String?
    package var state: String?

    /// All rows, sorted by id.
    package init() {}

    /// The states that there are.
    package static let states = ConnectionActivity.allCases.map(\.name)

    /// The rows that are wanted, in the order that is wanted.
    package func rows(of all: [JSONObject]) -> [JSONObject] {
        let wanted = all.filter { row in
            (peer.map { Escaping.holds(row.text("peer"), $0) } ?? true)
                && (name.map { Escaping.holds(row.text("name"), $0) } ?? true)
                && (state.map { row.text("state") == $0 } ?? true)
        }
        // Rows with the same value stay in the order of their ids.
        return wanted.enumerated().sorted { one, other in
            comesFirst(one.element, other.element) ?? (one.offset < other.offset)
        }.map(\.element)
    }

    /// nil where both are the same.
    private func comesFirst(_ one: JSONObject, _ other: JSONObject) -> Bool? {
        func falls(_ value: (JSONObject) -> Double) -> Bool? {
            value(one) == value(other) ? nil : value(one) > value(other)
        }
        func rises(_ key: String) -> Bool? {
            let (one, other) = (one.text(key) ?? "", other.text(key) ?? "")
            return one == other ? nil : one < other
        }
        switch order {
        case .id: return falls { -($0.number("id") ?? 0) }
        case .pid: return falls { -($0.number("pid") ?? 0) }
        case .peer: return rises("peer")
        case .name: return rises("name")
        case .state: return rises("state")
        case .age: return falls { $0.number("age") ?? 0 }
        case .heard: return falls { $0.number("heard") ?? 0 }
        case .rtt: return falls { $0.number("round_trip") ?? 0 }
        case .inFlight: return falls { $0.number("in_flight") ?? 0 }
        case .requests: return falls { $0.number("requests") ?? 0 }
        case .bytes: return falls { ($0.number("bytes_in") ?? 0) + ($0.number("bytes_out") ?? 0) }
        }
    }

    /// The columns, the first line their names; of a terminal of `width` columns each line fits in.
    package static func lines(_ rows: [JSONObject], width: Int = .max) -> [String] {
        // Without proxies there is nothing to say.
        let via = rows.contains { $0.text("via") != nil } ? ["VIA"] : []
        let head =
            ["ID", "PID", "PEER"] + via + [
                "NAME", "STATE", "AGE", "HEARD", "RTT", "FLIGHT", "REQUESTS", "IN", "OUT",
            ]
        let numbers = Set(["ID", "PID", "AGE", "HEARD", "RTT", "FLIGHT", "REQUESTS", "IN", "OUT"])
        let cells = [head] + rows.map { row in ConnectionTable.cells(row, withVia: !via.isEmpty) }
        let widths = head.indices.map { column in cells.map { $0[column].columns }.max() ?? 0 }
        return cells.map { row in
            let padded = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].columns)
                return numbers.contains(head[column]) ? space + row[column] : row[column] + space
            }
            return cut(padded.joined(separator: "  "), to: width)
        }
    }

    /// The beginning of the text that takes up to `width` columns.
    private static func cut(_ text: String, to width: Int) -> String {
        var columns = 0
        let kept = text.unicodeScalars.prefix { scalar in
            columns += scalar.columns
            return columns <= width
        }
        return String(String.UnicodeScalarView(kept))
    }

    private static func cells(_ row: JSONObject, withVia: Bool) -> [String] {
        func whole(_ key: String) -> String {
            row.number(key).map { size($0, units: ["", "k", "m", "g", "t"], 1000) } ?? "-"
        }
        func bytes(_ key: String) -> String {
            row.number(key).map { size($0, units: ["", "k", "m", "g", "t"], 1024) } ?? "-"
        }
        func exact(_ key: String) -> String {
            if case .number(let number)? = row[key] { number } else { "-" }
        }
        func text(_ key: String) -> String { row.text(key).map { Escaping.plain($0, most: 40) } ?? "-" }
        return [exact("id"), exact("pid"), text("peer")] + (withVia ? [text("via")] : []) + [
            text("name"), text("state"),
            row.number("age").map(time) ?? "-", row.number("heard").map(time) ?? "-",
            row.number("round_trip").map(time) ?? "-", exact("in_flight"), whole("requests"), bytes("bytes_in"),
            bytes("bytes_out"),
        ]
    }

    /// `0.42ms`, `12ms`, `3.4s`, `5m12s`, `7h03m`, `12d04h`.
    static func time(_ seconds: Double) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        func tenths(_ number: Double, per unit: Double) -> String {
            let whole = Int((number * unit).rounded())
            return "\(whole / Int(unit)).\(unit == 100 ? two(whole % 100) : "\(whole % 10)")"
        }
        switch seconds {
        case ..<0.00999: return tenths(max(0, seconds) * 1000, per: 100) + "ms"
        case ..<0.9995: return "\(Int((seconds * 1000).rounded()))ms"
        case ..<59.95: return tenths(seconds, per: 10) + "s"
        case ..<3600: return "\(Int(seconds) / 60)m\(two(Int(seconds) % 60))s"
        case ..<86400: return "\(Int(seconds) / 3600)h\(two(Int(seconds) / 60 % 60))m"
        case ..<1e12: return "\(Int(seconds) / 86400)d\(two(Int(seconds) / 3600 % 24))h"
        default: return "?"
        }
    }

    /// `999`, `1.2k`, `34m`: three digits at most.
    private static func size(_ number: Double, units: [String], _ step: Double) -> String {
        var (number, unit) = (number, 0)
        while number >= 999.5, unit < units.count - 1 { (number, unit) = (number / step, unit + 1) }
        if unit == 0 || number >= 9.95 { return number < 1e15 ? "\(Int(number.rounded()))\(units[unit])" : "?" }
        let tenths = Int((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)\(units[unit])"
    }
}
