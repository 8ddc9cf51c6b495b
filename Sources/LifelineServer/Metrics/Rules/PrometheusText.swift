/// Metrics as Prometheus reads them (its text-based format, version 0.0.4).
struct PrometheusText {
    private(set) var text = ""

    private mutating func begin(_ metric: Metric) {
        text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
    }

    private mutating func sample(_ name: String, _ labels: [(key: String, value: String)], _ value: String) {
        let labels = labels.map { "\($0.key)=\"\(Escaping.plain($0.value))\"" }.joined(separator: ",")
        text += "\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)\n"
    }

    /// A metric with one sample.
    mutating func put(_ metric: Metric, _ value: String) {
        begin(metric)
        sample(metric.name, [], value)
    }

    /// The same.
    mutating func put(_ metric: Metric, _ value: some BinaryInteger) { put(metric, "\(value)") }

    /// A metric with a sample for each value of its labels, which stand in their order.
    mutating func put(_ metric: Metric, _ samples: [(labels: [String], value: UInt64)]) {
        begin(metric)
        for (labels, value) in samples {
            sample(metric.name, zip(metric.labels, labels).map { (key: $0, value: $1) }, "\(value)")
        }
    }

    mutating func put(_ metric: Metric, _ histogram: Histogram) {
        begin(metric)
        var sum: UInt64 = 0
        for (bound, count) in zip(histogram.scale.bounds.map(\.text) + ["+Inf"], histogram.counts) {
            sum.add(count)
            sample("\(metric.name)_bucket", [("le", bound)], "\(sum)")
        }
        sample("\(metric.name)_sum", [], Escaping.seconds(histogram.sum, decimals: 9))
        sample("\(metric.name)_count", [], "\(sum)")
    }

    /// The figures of a process; those that the system does not tell are left out.
    mutating func put(_ process: ProcessFigures) {
        put(.processCPU, Escaping.seconds(process.processorTime, decimals: 2))
        put(.processStart, Escaping.seconds(process.startedAt, decimals: 2))
        if let resident = process.residentBytes { put(.processResident, resident) }
        if let virtual = process.virtualBytes { put(.processVirtual, virtual) }
        if let open = process.openDescriptors { put(.processDescriptors, open) }
        if let most = process.mostDescriptors { put(.processMostDescriptors, most) }
    }
}
