// Starts Swagger UI on the document that the page names. Served from here: no CDN, no inline script.
window.addEventListener("DOMContentLoaded", () => {
  const target = document.getElementById("documentation");
  window.ui = SwaggerUIBundle({
    url: target.dataset.document,
    dom_id: "#documentation",
    deepLinking: true,
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: false,
    presets: [SwaggerUIBundle.presets.apis],
    tryItOutEnabled: true,
    validatorUrl: null,
  });
});
