import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Asks with HttpClient as it comes, which wants HTTP/2. Arguments: the URL of the service, then paths and bodies. */
class Ask {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        List<HttpRequest> requests = new ArrayList<>();
        for (int i = 1; i < arguments.length; i += 2) {
            requests.add(HttpRequest.newBuilder(URI.create(arguments[0] + arguments[i]))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(arguments[i + 1]))
                .build());
        }
        for (HttpRequest request : requests) {
            show(client.send(request, HttpResponse.BodyHandlers.ofString()));
        }
        List<CompletableFuture<HttpResponse<String>>> together = requests.stream()
            .map(request -> client.sendAsync(request, HttpResponse.BodyHandlers.ofString()))
            .toList();
        for (CompletableFuture<HttpResponse<String>> each : together) {
            show(each.get());
        }
    }

    private static void show(HttpResponse<String> answer) throws Exception {
        System.out.write((answer.statusCode() + " " + answer.body() + "\n").getBytes("UTF-8"));
    }
}
