/* SPDX-License-Identifier: MIT */
/* Which certificates are refused, and why, in words. */
#include "tls.h"
#include <stdio.h>

/* Called by OpenSSL for each certificate, with its own verdict. The first error is kept. If nothing is verified the
 * handshake goes on, and info() returns the error. */
int vai__tls_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct session *s = SSL_get_ex_data(ssl, vai__tls_index);
	if (ok || !s)
		return ok;
	if (!*s->verify_error) {
		char subject[NAME_BYTES] = "?", names[NAME_BYTES] = "";
		X509 *cert = X509_STORE_CTX_get_current_cert(store);
		int error = X509_STORE_CTX_get_error(store);
		bool host = error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
		if (cert)
			vai__tls_name(X509_get_subject_name(cert), subject, sizeof subject);
		if (cert && host)
			vai__tls_names(cert, names, sizeof names);
		if (host)
			snprintf(s->verify_error, sizeof s->verify_error, "certificate '%.100s' is for %.100s, not for %.100s",
				subject, *names ? names : "no name", s->name);
		else
			snprintf(s->verify_error, sizeof s->verify_error, "certificate '%.200s': %.150s", subject,
				X509_verify_cert_error_string(error));
	}
	return !s->context->verify;
}
