/// Why a child serves one connection alone, whatever `ServerOptions.poolReuse` says.
enum ReuseObstacle {
    /// The handler does not declare `mayBeReused`.
    case handler
    case program
}

extension ServerOptions {
    /// Throws where a command line asks for what no child of the pool can do: `poolReuse` without a pool, with a program
    /// in place of a handler, or with `maxCPU`.
    package func checkPool(servesProgram: Bool) throws(StartError) {
        guard poolReuse <= 1 || pool != nil else {
            throw StartError(
                .badOptions, "--pool-reuse says what the processes of the pool do: give --pool N too")
        }
        try checkPool(against: servesProgram ? .program : nil)
    }

    /// Throws where a child of the pool cannot serve as many connections as `poolReuse` says. `obstacle` is what of the
    /// handler speaks against it; nil where nothing does, or that is known already.
    func checkPool(against obstacle: ReuseObstacle?) throws(StartError) {
        guard poolReuse > 1 else { return }
        switch obstacle {
        case .program:
            throw StartError(
                .badOptions,
                "--pool-reuse and --exec exclude each other: a program has its connection's process beside it, which "
                    + "ends with it")
        case .handler:
            throw StartError(
                .badOptions,
                "--pool-reuse \(poolReuse) is not possible: the handler does not say that its process may serve several "
                    + "connections")
        case nil: break
        }
        guard maxCPU == nil else {
            throw StartError(
                .badOptions,
                "--pool-reuse and --max-cpu exclude each other: the system counts the processor time of a process in "
                    + "all its life, not that of each connection")
        }
    }
}
