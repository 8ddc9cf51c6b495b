extension LatencyHistogram {
    /// The histogram for a terminal: a row with share and bar for each range between the steps 1, 2, 5, 10 and so on.
    func chart(width: Int = 50) -> [String] {
        guard count > 0 else { return [] }
        var bounds: [Nanoseconds] = []
        var step: Int64 = 1
        while step <= most.count {
            for factor: Int64 in [1, 2, 5] { bounds.append(Nanoseconds(step * factor)) }
            guard step < .max / 100 else { break }
            step *= 10
        }
        bounds.removeAll { $0 > most }
        while bounds.count > 1, bounds[1] <= least { bounds.removeFirst() }
        if bounds.isEmpty { bounds = [.zero] }
        let rows = counts(from: bounds)
        let highest = Double(rows.max() ?? 1)
        return zip(bounds, rows).map { bound, here in
            let share = Double(here) / Double(count) * 100
            let bar = LatencyHistogram.bar(Double(here) / highest * Double(width))
            let text = here > 0 && share < 0.005 ? "<0.01" : NumberFormat.fixed(share, 2)
            return
                "  from \(NumberFormat.right(NumberFormat.time(bound), 8)) \(NumberFormat.right(NumberFormat.grouped(here), 12)) "
                + "\(NumberFormat.right(text, 6)) % \(bar)"
        }
    }

    /// A bar in eighths of a column; at least one eighth where `length` is positive.
    private static func bar(_ length: Double) -> String {
        let eighths = length > 0 ? max(1, Int((length * 8).rounded())) : 0
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        return String(repeating: "█", count: eighths / 8) + part
    }
}
