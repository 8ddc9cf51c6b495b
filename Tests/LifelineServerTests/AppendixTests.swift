import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

/// Hexadecimal bytes, comments left out.
private func bytes(_ lines: String) -> [UInt8] {
    lines.split(separator: "\n").flatMap { $0.split(separator: ";")[0].split(separator: " ") }.map {
        UInt8($0, radix: 16)!
    }
}

@Suite("Appendix: whole connections, byte by byte")
struct AppendixTests {
    private func exchange(_ client: [UInt8], pieces: Int) -> ([UInt8], ServerConnection) {
        var connection = ServerConnection(
            id: 1, terms: Terms(), handshakeTimeout: .seconds(10), acceptedAt: at(0))
        var answer: [UInt8] = []
        for start in stride(from: 0, to: client.count, by: pieces) {
            let piece = Array(client[start..<min(start + pieces, client.count)])
            connection.received(piece.count, at: at(0))
            while let event = connection.next(in: piece, at: at(0)) {
                if case .request(let id, let bytes) = event { connection.answer(id, bytes) }
                connection.handlerReturned()
            }
            if pieces == client.count, connection.isClosing {
                #expect(connection.outbox.unsent.count == 97, "all that a short connection is told, in one write")
            }
            while !connection.outbox.isEmpty {
                answer += connection.outbox.unsent
                connection.wrote(connection.outbox.unsent.count, at: at(0))
            }
        }
        return (answer, connection)
    }

    @Test("A, 7.3-3, 7.3-4 A short connection: WELCOME, RESPONSE and CLOSE are there at once", arguments: [57, 1])
    func short(pieces: Int) {
        let client = bytes(
            """
            4c 49 46 45 4c 49 4e 45  ; preface
            00 00 00 14 01 00 00 00 00 00 00 00 01 00 00 01 00 00 00 00 00 00 00 00  ; HELLO: SHORT
            00 00 40 00 00 10 00 00
            00 00 00 05 05 00 00 00 00 00 00 01 68 65 6c 6c 6f  ; REQUEST 1 "hello"
            """)
        let server = bytes(
            """
            4c 49 46 45 4c 49 4e 45  ; preface
            00 00 00 24 02 00 00 00 00 00 00 00 01 00 00 00 00 00 27 10 00 00 75 30  ; WELCOME: 10000 ms, 30000 ms
            00 00 40 00 00 10 00 00 00 00 01 00 00 40 00 00 00 00 00 00 00 00 00 01
            00 00 00 05 06 00 00 00 00 00 00 01 68 65 6c 6c 6f  ; RESPONSE 1 "hello"
            00 00 00 0c 0b 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 00  ; CLOSE: NORMAL, last_id 1
            """)
        var (answer, connection) = exchange(client, pieces: pieces)
        #expect(answer == server)
        #expect(connection.isClosing && !connection.isOver, "it reads on until the client ends")
        connection.endOfStream(at: at(1))
        #expect(connection.isOver)
    }

    @Test("B A long connection", arguments: [1000, 1])
    func long(pieces: Int) {
        let client = bytes(
            """
            4c 49 46 45 4c 49 4e 45  ; preface
            00 00 00 1e 01 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00  ; HELLO: NAME "till-7"
            00 00 40 00 00 10 00 00 00 02 00 06 74 69 6c 6c 2d 37
            00 00 00 08 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01  ; PING: nonce 1
            00 00 00 05 05 00 00 00 00 00 00 01 68 65 6c 6c 6f  ; REQUEST 1 "hello"
            00 00 00 04 07 00 00 00 00 00 00 00 6e 6f 74 65  ; MESSAGE "note"
            00 00 00 03 05 01 00 00 00 00 00 02 68 65 6c  ; REQUEST 2 "hel", MORE
            00 00 00 02 05 00 00 00 00 00 00 02 6c 6f  ; REQUEST 2 "lo", the last chunk
            00 00 00 00 05 00 00 00 00 00 00 03  ; REQUEST 3, empty
            00 00 00 0c 0b 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ; CLOSE: NORMAL, last_id 0
            """)
        let server = bytes(
            """
            4c 49 46 45 4c 49 4e 45  ; preface
            00 00 00 24 02 00 00 00 00 00 00 00 01 00 00 00 00 00 27 10 00 00 75 30  ; WELCOME: 10000 ms, 30000 ms
            00 00 40 00 00 10 00 00 00 00 01 00 00 40 00 00 00 00 00 00 00 00 00 01
            00 00 00 14 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00  ; PONG: nonce 1, no load
            00 00 00 00 00 00 00 00
            00 00 00 05 06 00 00 00 00 00 00 01 68 65 6c 6c 6f  ; RESPONSE 1 "hello"
            00 00 00 05 06 00 00 00 00 00 00 02 68 65 6c 6c 6f  ; RESPONSE 2 "hello"
            00 00 00 00 06 00 00 00 00 00 00 03  ; RESPONSE 3, empty
            00 00 00 0c 0b 00 00 00 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 00  ; CLOSE: NORMAL, last_id 3
            """)
        let (answer, connection) = exchange(client, pieces: pieces)
        #expect(answer == server)
        #expect(connection.isOver, "both have said CLOSE")
        #expect(connection.requestsServed == 3 && connection.bytesIn == UInt64(client.count))
        #expect(connection.clientName == "till-7")
    }
}
