import LifelineClient

/// The progress of one message, for people.
struct TransferText {
    let progress: TransferProgress
    /// The number of the message; nil for a one-way message.
    let number: Int?

    /// A terminal without a size is this wide.
    static let usualWidth = 80
    private static let mostCells = 40

    /// A line of its own: `sending 1: 260 kB of 600 kB, 31 kB/s`, and at the end `sent 1: 600 kB in 19 s, 31 kB/s`.
    var line: String {
        guard progress.isOver else { return "\(action): \(amount), \(TransferText.rate(progress.rate))" }
        let seconds = progress.elapsed / .seconds(1)
        let average = TransferText.rate(seconds > 0 ? Double(progress.bytes) / seconds : 0)
        guard progress.bytes == progress.total else { return "\(action): broken off after \(amount)" }
        let verb = progress.direction == .sending ? "sent" : "received"
        return "\(verb) \(label): \(TransferText.size(progress.bytes)) in \(progress.elapsed.text), \(average)"
    }

    /// A line that is drawn over the one before, less than `width` characters:
    /// `sending 1: [########            ] 43 %  112 kB/s  0:12 left`, or `receiving 1: 350 kB  31 kB/s`.
    func bar(width: Int) -> String {
        let rate = TransferText.rate(progress.rate)
        guard let total = progress.total, total > 0 else {
            return String("\(action): \(TransferText.size(progress.bytes))  \(rate)".prefix(max(width - 1, 0)))
        }
        let head = "\(action): "
        var tail = "\(progress.bytes * 100 / total) %  \(rate)"
        if progress.rate >= 1 { tail += "  \(TransferText.clock(Double(total - progress.bytes) / progress.rate)) left" }
        let cells = min(width - 1 - head.count - tail.count - 3, TransferText.mostCells)
        guard cells >= 4 else { return String((head + tail).prefix(max(width - 1, 0))) }
        let full = progress.bytes * cells / total
        let drawn = String(repeating: "#", count: full) + String(repeating: " ", count: cells - full)
        return "\(head)[\(drawn)] \(tail)"
    }

    private var label: String { number.map { "\($0)" } ?? "a message" }

    private var action: String { (progress.direction == .sending ? "sending " : "receiving ") + label }

    private var amount: String {
        let bytes = TransferText.size(progress.bytes)
        return progress.total.map { "\(bytes) of \(TransferText.size($0))" } ?? bytes
    }

    /// `950 B`, `9.5 kB`, `350 kB`, `1.2 MB`; 1000 bytes are a kB.
    static func size(_ bytes: Int) -> String {
        var (value, unit) = (Double(bytes), "B")
        for next in ["kB", "MB", "GB"] where value >= 999.5 { (value, unit) = (value / 1000, next) }
        let tenths = Int((value * 10).rounded())
        return unit == "B" || tenths >= 100
            ? "\(Int(value.rounded())) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }

    private static func rate(_ bytes: Double) -> String { size(Int(bytes)) + "/s" }

    /// `0:12`, `3:05`, `1:00:00`.
    static func clock(_ seconds: Double) -> String {
        let seconds = Int(min(seconds, 359_999).rounded(.up))
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
        return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":" + two(seconds % 60)
    }
}
