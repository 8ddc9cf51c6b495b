import Testing

@testable import LifelineServer

@Suite("What speaks against several connections in a process")
struct SharingCheckTests {
    private struct Lonely: Handler {
        // One after another is something else.
        static let mayBeReused = true
        func respond(to request: Request) -> Response { Response(request.bytes) }
    }
    private struct Sharing: Handler {
        static let mayShare = true
        func respond(to request: Request) -> Response { Response(request.bytes) }
    }

    private func refusal(
        _ obstacle: ReuseObstacle? = nil, _ change: (inout ServerOptions) -> Void = { _ in }
    ) -> String? {
        var options = ServerOptions()
        options.connectionsPerProcess = 16
        change(&options)
        do { try options.checkSharing(against: obstacle) } catch { return error.description }
        return nil
    }

    @Test("A handler has to say that it may share")
    func handler() throws {
        #expect(HandlerFactory { Lonely() }.againstSharing == .handler)
        #expect(HandlerFactory { Sharing() }.againstSharing == nil)
        #expect(HandlerFactory(try Program(["cat"])).againstSharing == .program)
        #expect(refusal() == nil)
        #expect(refusal(.handler)?.contains("--connections-per-process 16 is not possible: the handler") == true)
        #expect(refusal(.handler)?.contains("Handler.mayShare") == true)
    }

    @Test("Programs, reuse and a limit of processor time are refused, each with its reason")
    func excluded() throws {
        #expect(refusal(.program)?.contains("--connections-per-process and --exec exclude each other") == true)
        let reuse = refusal {
            $0.pool = PoolSize(2)
            $0.poolReuse = 2
        }
        #expect(reuse?.contains("--connections-per-process and --pool-reuse exclude each other") == true)
        let limit = refusal { $0.maxCPU = .seconds(1) }
        #expect(limit?.contains("--connections-per-process and --max-cpu exclude each other") == true)
        var options = ServerOptions()
        options.connectionsPerProcess = 2
        #expect(throws: StartError.self) { try options.checkSharing(servesProgram: true) }
        #expect(throws: Never.self) { try options.checkSharing(servesProgram: false) }
    }

    @Test("A process for each connection is checked for nothing, and is the default")
    func alone() {
        #expect(ServerOptions().connectionsPerProcess == 1 && !ServerOptions().sharesProcesses)
        #expect(
            refusal(.handler) {
                $0.connectionsPerProcess = 1
                $0.maxCPU = .seconds(1)
            } == nil)
        #expect(refusal(.program) { $0.connectionsPerProcess = 1 } == nil)
    }
}
