// The kubelet's own types, for tests: requests as the kubelet writes them, answers and configs read as strictly as it does.
//
//	kubelet encode VERSION    what is on stdin as a request of that version
//	kubelet decode VERSION    the answer on stdin, as the kubelet understands it
//	kubelet config            the CredentialProviderConfig on stdin, as the kubelet understands it
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	config "k8s.io/kubelet/config/v1"
	"k8s.io/kubelet/pkg/apis/credentialprovider"
	"k8s.io/kubelet/pkg/apis/credentialprovider/install"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(words []string) error {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	if err := config.AddToScheme(scheme); err != nil {
		return err
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	switch {
	case len(words) == 2 && words[0] == "encode":
		request := &credentialprovider.CredentialProviderRequest{}
		if err := json.Unmarshal(input, request); err != nil {
			return err
		}
		info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
		if !ok {
			return fmt.Errorf("no JSON")
		}
		version := schema.GroupVersion{Group: credentialprovider.GroupName, Version: words[1]}
		return codecs.EncoderForVersion(info.Serializer, version).Encode(request, os.Stdout)
	case len(words) == 2 && words[0] == "decode":
		object, kind, err := codecs.UniversalDecoder().Decode(input, nil, nil)
		if err != nil {
			return err
		}
		response, ok := object.(*credentialprovider.CredentialProviderResponse)
		if !ok || kind.Version != words[1] {
			return fmt.Errorf("it is %s", kind)
		}
		return json.NewEncoder(os.Stdout).Encode(response)
	case len(words) == 1 && words[0] == "config":
		object, _, err := codecs.UniversalDeserializer().Decode(input, nil, nil)
		if err != nil {
			return err
		}
		providers, ok := object.(*config.CredentialProviderConfig)
		if !ok {
			return fmt.Errorf("it is no CredentialProviderConfig")
		}
		return json.NewEncoder(os.Stdout).Encode(providers)
	}
	return fmt.Errorf("usage: kubelet encode VERSION | decode VERSION | config")
}
